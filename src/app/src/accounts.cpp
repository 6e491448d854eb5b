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

bool Accounts::configured(const domain::Address& address) const {
    return std::ranges::find(settings_.administrators, address) != settings_.administrators.end();
}

bool Accounts::administrator(const domain::Address& address) const {
    if (configured(address)) {
        return true;
    }
    const auto account = find(address);
    return account && account->administrator && account->status == domain::AccountStatus::active;
}

bool Accounts::registered(const domain::Address& address) const {
    if (configured(address)) {
        return true;
    }
    const std::shared_lock lock{mutex_};
    return accounts_.contains(address);
}

bool Accounts::active(const domain::Address& address) const {
    if (configured(address)) {
        return true;
    }
    const std::shared_lock lock{mutex_};
    const auto found = accounts_.find(address);
    return found != accounts_.end() && found->second.status == domain::AccountStatus::active;
}

Result<domain::Account> Accounts::show(const domain::Caller& caller, const domain::Address& address) const {
    if (caller.address != address && !caller.administrator) {
        return unknown();
    }
    if (auto account = find(address)) {
        return *std::move(account);
    }
    if (configured(address)) {
        domain::Account account;
        account.address = address;
        return account;
    }
    return unknown();
}

Result<void> Accounts::check_change(
    const domain::Caller& caller,
    const domain::Address& address,
    const AccountChange& change
) const {
    if (caller.address != address && !caller.administrator) {
        return unknown();
    }
    const auto* field = change.status          ? "status"
                        : change.administrator ? "administrator"
                        : change.quotas        ? "quotas"
                                               : nullptr;
    if (field != nullptr && !caller.administrator) {
        return fail(Error{Code::forbidden, "only administrators change an account's " + std::string{field}}
                        .with_slug("not-yours-to-change")
                        .with_field(field));
    }
    const bool lowers = change.status == domain::AccountStatus::suspended || change.administrator == false;
    if (lowers && configured(address)) {
        return fail(Error{Code::conflict, "this account is an administrator by configuration"}
                        .with_slug("account-configured")
                        .with_field(field)
                        .with_hint("remove it from admin_addresses"));
    }
    return domain::check_display_name(change.name.value_or(""));
}

Task<domain::Account> Accounts::put(
    domain::Caller caller,
    domain::Address address,
    AccountChange change,
    std::optional<std::int64_t> expected_revision,
    Ticket ticket
) {
    CO_CHECK(check_change(caller, address, change));
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
    domain::Account account = existing.value_or(domain::Account{});
    account.address = address;
    account.created_at = existing ? existing->created_at : now();
    account.name = std::move(change.name).value_or(account.name);
    account.status = change.status.value_or(account.status);
    account.administrator = change.administrator.value_or(account.administrator);
    account.quotas = change.quotas.value_or(account.quotas);
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
        if (configured(address)) {
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
    for (const auto& team : teams_.of(address)) {
        domain::Caller self{address, false};
        Ticket nothing;
        CO_CHECK(co_await teams_.remove_member(self, team, address, std::move(nothing)));
    }
    if (forget_grants) {
        CO_CHECK(co_await forget_grants(address));
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
