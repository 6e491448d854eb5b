#include "handlers.h"
#include "reply.h"
#include "represent.h"

namespace vmm::http {
namespace {

Result<domain::Address> address_of(const Service& service, const Request& request) {
    auto address = service.world.signatures.parse_address(request.parameters.at("address"));
    if (!address) {
        return invalid("address", address.error().message());
    }
    return address;
}

// What the account's images and disks take is the application's to tell.
Task<std::uint64_t> storage_of(Service& service, domain::Address address) {
    co_return service.world.storage_used(address);
}

Task<Reply> account_reply(Service& service, domain::Account account) {
    auto shown = represent(
        account,
        service.accounts.administrator(account.address),
        service.world.registry.owned_by(account.address)
    );
    CO_TRY(shown.storage_bytes, co_await on_application(service, storage_of(service, account.address)));
    if (const auto quota = service.world.settings.account_storage_bytes; quota > 0) {
        shown.storage_quota_bytes = quota;
    }
    auto reply = json_reply(200, shown);
    reply.headers.emplace_back("ETag", etag(account.revision));
    co_return reply;
}

}  // namespace

Task<Reply> show_account(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto address, address_of(service, request));
    CO_TRY(const auto account, service.accounts.show(request.caller, address));
    co_return co_await account_reply(service, account);
}

Task<Reply> put_account(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto address, address_of(service, request));
    CO_TRY(const auto expected, if_match(request));
    CO_TRY(auto wanted, body_of<wire::PutAccount>(request));
    CO_TRY(
        const auto account,
        co_await on_application(
            service,
            service.accounts.put(request.caller, address, wanted.name.value_or(""), expected, request.ticket)
        )
    );
    request.unstored_ticket = false;
    co_return co_await account_reply(service, account);
}

Task<Reply> delete_account(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_CHECK(body_of<wire::Nothing>(request));
    CO_TRY(const auto address, address_of(service, request));
    CO_CHECK(
        co_await on_application(service, service.accounts.remove(request.caller, address, request.ticket))
    );
    request.unstored_ticket = false;
    Reply gone;
    gone.status = 204;
    co_return gone;
}

}  // namespace vmm::http
