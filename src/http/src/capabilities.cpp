#include "vmm/base/text.h"
#include "vmm/wire/auth.h"

#include "caller.h"
#include "handlers.h"
#include "reply.h"
#include "represent.h"

namespace vmm::http {

wire::CapabilityShown represent(const proofs::Capability& capability) {
    wire::CapabilityShown out;
    out.vm = capability.delegation.vm;
    for (const auto action :
         {domain::Action::view, domain::Action::operate, domain::Action::configure, domain::Action::own}) {
        if (capability.delegation.actions.has(action)) {
            out.actions.emplace_back(name(action));
        }
    }
    out.given_by = capability.delegation.giver.text();
    out.holder = capability.holder.text();
    out.expires_at = rfc3339({capability.expires * 1000});
    for (const auto& id : capability.ids) {
        out.ids.push_back(to_hex(id));
    }
    return out;
}

namespace {

wire::Revocation represent(const domain::Revocation& revocation) {
    return {revocation.id, revocation.vm, std::string{revocation.by.text()}, rfc3339(revocation.at)};
}

}  // namespace

Task<Reply> revoke_capability(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto wanted, body_of<wire::RevokeCapability>(request));
    auto capability = capability_of(service, wanted.capability);
    if (!capability) {
        co_return fail(std::move(capability).error().with_field("capability"));
    }
    const auto vm = service.world.registry.find(capability->delegation.vm);
    auto revoking =
        service.revocations.revoke(request.caller, *std::move(capability), vm.get(), request.ticket);
    CO_TRY(const auto revocation, co_await on_application(service, std::move(revoking)));
    co_return json_reply(200, represent(revocation));
}

Task<Reply> list_revocations(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    wire::RevocationList list;
    for (const auto& revocation : service.revocations.of(request.parameters.at("id"))) {
        list.revocations.push_back(represent(revocation));
    }
    co_return json_reply(200, list);
}

}  // namespace vmm::http
