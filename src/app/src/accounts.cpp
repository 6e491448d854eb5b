#include "vmm/app/accounts.h"

#include "vmm/domain/names.h"
#include "vmm/records/records.h"

#include <algorithm>
#include <mutex>

#include "keys.h"

namespace vmm::app {
namespace {

constexpr std::size_t page = 1000;

std::unexpected<Error> unknown() {
    return fail(Error{Code::not_found, "there is no such account, or it is not visible to you"});
}

}  // namespace

Task<void> Accounts::load() {
    std::string after;
    while (true) {
        CO_TRY(const auto records, co_await store_.list(std::string{keys::accounts}, after, page));
        for (const auto& record : records) {
            CO_TRY(auto account, records::read_account(record.value));
            const std::unique_lock lock{mutex_};
            accounts_.insert_or_assign(account.address, account);
        }
        if (records.size() < page) {
            co_return Result<void>{};
        }
        after = records.back().key;
    }
}

std::optional<domain::Account> Accounts::find(const domain::Address& address) const {
    const std::shared_lock lock{mutex_};
    const auto found = accounts_.find(address);
    return found == accounts_.end() ? std::nullopt : std::optional{found->second};
}

bool Accounts::administrator(const domain::Address& address) const {
    return std::ranges::find(settings_.administrators, address) != settings_.administrators.end();
}

bool Accounts::registered(const domain::Address& address) const {
    if (administrator(address)) {
        return true;
    }
    const std::shared_lock lock{mutex_};
    return accounts_.contains(address);
}

Result<domain::Account> Accounts::show(const domain::Caller& caller, const domain::Address& address) const {
    if (caller.address != address && !caller.administrator) {
        return unknown();
    }
    if (auto account = find(address)) {
        return *std::move(account);
    }
    if (administrator(address)) {
        return domain::Account{address, "", {}, {}, 0};
    }
    return unknown();
}

Task<domain::Account> Accounts::put(
    domain::Caller caller,
    domain::Address address,
    std::string name,
    std::optional<std::int64_t> expected_revision,
    Ticket ticket
) {
    const bool self = caller.address == address;
    if (!self && !caller.administrator) {
        co_return unknown();
    }
    CO_CHECK(domain::check_display_name(name));
    const auto existing = find(address);
    if (!existing && !caller.administrator && settings_.registration == Registration::closed) {
        co_return fail(Error{Code::forbidden, "registration is closed; an administrator creates accounts"}
                           .with_slug("registration-closed"));
    }
    if (expected_revision && *expected_revision != (existing ? existing->revision : 0)) {
        co_return fail(
            Code::precondition_failed,
            "the account has changed: its revision is " + std::to_string(existing ? existing->revision : 0)
        );
    }
    domain::Account account = existing.value_or(domain::Account{address, "", now(), now(), 0});
    account.name = std::move(name);
    account.updated_at = now();
    ++account.revision;
    ports::Transaction transaction;
    transaction.puts.push_back({keys::account(address), records::write(account), {}});
    ticket.add_to(transaction, "", "");
    CO_CHECK(co_await store_.commit(std::move(transaction)));
    const std::unique_lock lock{mutex_};
    accounts_.insert_or_assign(address, account);
    co_return account;
}

Task<void> Accounts::remove(domain::Caller caller, domain::Address address, Ticket ticket) {
    if (caller.address != address && !caller.administrator) {
        co_return unknown();
    }
    if (!find(address)) {
        if (administrator(address)) {
            co_return fail(Error{Code::conflict, "this account is an administrator by configuration"}
                               .with_slug("account-configured")
                               .with_hint("remove it from admin_addresses"));
        }
        co_return unknown();
    }
    if (const auto machines = registry_.owned_by(address); machines > 0) {
        co_return fail(Error{Code::conflict, "the account owns " + std::to_string(machines) + " machines"}
                           .with_slug("account-owns-machines")
                           .with_hint("delete them first"));
    }
    ports::Transaction transaction;
    transaction.removes.push_back(keys::account(address));
    ticket.add_to(transaction, "", "");
    CO_CHECK(co_await store_.commit(std::move(transaction)));
    const std::unique_lock lock{mutex_};
    accounts_.erase(address);
    co_return Result<void>{};
}

}  // namespace vmm::app
