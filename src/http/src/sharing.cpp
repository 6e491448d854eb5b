#include "vmm/base/ids.h"
#include "vmm/base/text.h"
#include "vmm/wire/signing.h"

#include "handlers.h"
#include "reply.h"
#include "represent.h"

// Who else may use a machine, and how it changes hands.
namespace vmm::http {
namespace {

// An address, or a team's id.
Result<domain::Owner> owner_of(const Service& service, const std::string& text) {
    if (is_id("team", text)) {
        return domain::Owner::of_team(text);
    }
    const auto address = service.world.signatures.parse_address(text);
    if (!address) {
        return invalid("to", "expected an address or a team's id: " + address.error().message());
    }
    return domain::Owner{*address};
}

Result<app::Acceptance> acceptance_of(const std::string& text) {
    const auto colon = text.find(':');
    const auto until = parse_number<std::int64_t>(std::string_view{text}.substr(0, colon));
    const auto signature = colon == std::string::npos ? std::string{} : text.substr(colon + 1);
    const auto bytes = from_hex(signature);
    if (!until || !bytes || bytes->size() != 65) {
        return invalid("acceptance", "expected UNTIL:SIGNATURE, Unix seconds and 65 bytes of hex");
    }
    const auto parsed = wire::parse_signature(signature, bytes->back() % 27 == 0 ? "0" : "1");
    if (!parsed) {
        return invalid("acceptance", parsed.error().message());
    }
    return app::Acceptance{*until, {parsed->rs, parsed->recovery_id}};
}

Result<Reply> vm_reply(const app::VmView& vm) {
    if (!vm) {
        return fail(Code::not_found, "the machine was deleted in the same instant");
    }
    Reply reply;
    reply.body = vm->body;
    reply.headers.emplace_back("ETag", etag(vm->revision));
    return reply;
}

}  // namespace

Task<Reply> list_collaborators(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    const auto vm = service.world.registry.find(request.parameters.at("id"));
    if (!vm) {
        co_return fail(Code::not_found, "there is no such machine, or it is not visible to you");
    }
    wire::CollaboratorList list;
    for (const auto& grant : vm->collaborators) {
        list.collaborators.push_back(represent(grant));
    }
    co_return json_reply(200, list);
}

Task<Reply> put_collaborator(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto expected, if_match(request));
    CO_TRY(const auto wanted, body_of<wire::PutCollaborator>(request));
    domain::Grant grant;
    CO_TRY(grant.to, address_in(service, request));
    CO_TRY(grant.role, role_of(wanted.role));
    if (wanted.expires_at) {
        grant.expires_at = parse_rfc3339(*wanted.expires_at);
        if (!grant.expires_at) {
            co_return invalid(
                "expires_at",
                "expected a time such as 2030-01-31T12:00:00Z, found " + quote(*wanted.expires_at)
            );
        }
    }
    auto sharing = service.fleet.share(
        request.caller, request.parameters.at("id"), std::move(grant), request.ticket, expected
    );
    CO_TRY(const auto given, co_await on_application(service, std::move(sharing)));
    co_return json_reply(200, represent(given));
}

Task<Reply> delete_collaborator(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto expected, if_match(request));
    CO_CHECK(body_of<wire::Nothing>(request));
    CO_TRY(const auto address, address_in(service, request));
    auto ending =
        service.fleet.unshare(request.caller, request.parameters.at("id"), address, request.ticket, expected);
    CO_CHECK(co_await on_application(service, std::move(ending)));
    co_return gone();
}

Task<Reply> transfer_vm(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto expected, if_match(request));
    CO_TRY(const auto wanted, body_of<wire::TransferVm>(request));
    app::TransferVm order;
    CO_TRY(order.to, owner_of(service, wanted.to));
    order.keep_collaborators = wanted.keep_collaborators.value_or(false);
    if (wanted.acceptance) {
        CO_TRY(order.acceptance, acceptance_of(*wanted.acceptance));
    }
    auto giving = service.fleet.transfer(
        request.caller, request.parameters.at("id"), std::move(order), request.ticket, expected
    );
    CO_TRY(const auto vm, co_await on_application(service, std::move(giving)));
    co_return vm_reply(vm);
}

Task<Reply> accept_transfer(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(auto wanted, body_of<wire::AcceptVm>(request));
    auto taking = service.fleet.accept(
        request.caller, request.parameters.at("id"), std::move(wanted.name).value_or(""), request.ticket
    );
    CO_TRY(const auto vm, co_await on_application(service, std::move(taking)));
    co_return vm_reply(vm);
}

Task<Reply> withdraw_transfer(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_CHECK(body_of<wire::Nothing>(request));
    auto ending = service.fleet.withdraw(request.caller, request.parameters.at("id"), request.ticket);
    CO_CHECK(co_await on_application(service, std::move(ending)));
    co_return gone();
}

Task<Reply> list_transfers(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    wire::TransferList list;
    for (const auto& vm : service.world.registry.offered()) {
        if (service.permissions.receives(request.caller, *vm) ||
            service.permissions.may(request.caller, domain::Action::share, *vm)) {
            list.transfers.push_back(transfer_of(*vm));
        }
    }
    co_return json_reply(200, list);
}

}  // namespace vmm::http
