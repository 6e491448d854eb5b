#include "handlers.h"
#include "reply.h"
#include "represent.h"

namespace vmm::http {
namespace {

struct Standing {
    domain::Usage usage;
    domain::Quotas quotas;
};

// What the account has is the application's to tell.
Task<Standing> standing_of(Service& service, domain::Address address) {
    co_return Standing{service.quotas.usage(address), service.quotas.allowed(address)};
}

Task<Reply> account_reply(Service& service, domain::Account account) {
    auto shown = represent(account);
    shown.administrator = service.accounts.administrator(account.address);
    CO_TRY(const auto stands, co_await on_application(service, standing_of(service, account.address)));
    shown.usage = represent(stands.usage);
    shown.quotas = represent(stands.quotas);
    for (const auto& team : service.teams.of(account.address)) {
        shown.teams.push_back(team);
    }
    auto reply = json_reply(200, shown);
    reply.headers.emplace_back("ETag", etag(account.revision));
    co_return reply;
}

Result<app::AccountChange> change_of(wire::PutAccount wanted) {
    app::AccountChange change;
    change.name = std::move(wanted.name);
    change.administrator = wanted.administrator;
    if (wanted.status) {
        change.status = domain::account_status_named(*wanted.status);
        if (!change.status) {
            return invalid("status", "expected active or suspended, found " + quote(*wanted.status));
        }
    }
    if (const auto& quotas = wanted.quotas) {
        change.quotas = domain::QuotaWish{
            quotas->machines,
            quotas->vcpus,
            quotas->memory_mib,
            quotas->disk_bytes,
            quotas->images,
            quotas->forks
        };
    }
    return change;
}

}  // namespace

Task<Reply> show_account(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto address, address_in(service, request));
    CO_TRY(const auto account, service.accounts.show(request.caller, address));
    co_return co_await account_reply(service, account);
}

Task<Reply> put_account(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto address, address_in(service, request));
    CO_TRY(const auto expected, if_match(request));
    CO_TRY(auto wanted, body_of<wire::PutAccount>(request));
    CO_TRY(auto change, change_of(std::move(wanted)));
    auto putting = service.accounts.put(request.caller, address, std::move(change), expected, request.ticket);
    CO_TRY(const auto account, co_await on_application(service, std::move(putting)));
    co_return co_await account_reply(service, account);
}

Task<Reply> delete_account(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_CHECK(body_of<wire::Nothing>(request));
    CO_TRY(const auto address, address_in(service, request));
    CO_CHECK(
        co_await on_application(service, service.accounts.remove(request.caller, address, request.ticket))
    );
    co_return gone();
}

}  // namespace vmm::http
