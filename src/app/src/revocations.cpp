#include "vmm/app/revocations.h"

#include "vmm/base/text.h"
#include "vmm/records/records.h"

#include <algorithm>
#include <mutex>

#include "keys.h"
#include "recall.h"

namespace vmm::app {
namespace {

constexpr std::size_t page_size = 1000;

}  // namespace

Task<void> Revocations::load() {
    std::string after;
    while (true) {
        CO_TRY(const auto records, co_await store_.list(std::string{keys::revoked}, after, page_size));
        const std::unique_lock lock{mutex_};
        for (const auto& record : records) {
            CO_TRY(auto revocation, records::read_revocation(record.value));
            const auto id = revocation.id;
            by_id_.insert_or_assign(id, std::move(revocation));
        }
        if (records.size() < page_size) {
            co_return Result<void>{};
        }
        after = records.back().key;
    }
}

Result<void> Revocations::check(const proofs::Capability& capability) const {
    const std::shared_lock lock{mutex_};
    for (const auto& id : capability.ids) {
        if (const auto found = by_id_.find(to_hex(id)); found != by_id_.end()) {
            return fail(Error{
                Code::unauthenticated,
                "the capability was called back by " + std::string{found->second.by.text()} + " at " +
                    rfc3339(found->second.at)
            }
                            .with_slug("capability-revoked")
                            .with_field("X-Capability"));
        }
    }
    return {};
}

std::vector<domain::Revocation> Revocations::of(const std::string& vm) const {
    std::vector<domain::Revocation> out;
    const std::shared_lock lock{mutex_};
    for (const auto& [id, revocation] : by_id_) {
        if (revocation.vm == vm) {
            out.push_back(revocation);
        }
    }
    return out;
}

Task<domain::Revocation> Revocations::revoke(
    domain::Caller caller,
    proofs::Capability capability,
    const domain::Vm* vm,
    Ticket ticket
) {
    const bool shares = vm != nullptr && permissions_.may(caller, domain::Action::share, *vm);
    const auto own = std::ranges::find(capability.signers, caller.address);
    if (!shares && own == capability.signers.end()) {
        co_return fail(Error{
            Code::forbidden,
            "only those who gave or passed on a capability, and the machine's Owners, call it back"
        }
                           .with_slug("capability-not-yours"));
    }
    const auto which = shares ? 0 : own - capability.signers.begin();
    domain::Revocation revocation;
    revocation.id = to_hex(capability.ids[static_cast<std::size_t>(which)]);
    revocation.vm = capability.delegation.vm;
    revocation.by = caller.address;
    revocation.at = now();
    // No link lasts longer than this, whatever the later ones of the chain say.
    revocation.expires_at = revocation.at.plus(std::chrono::seconds{proofs::longest_capability_s});
    ports::Transaction transaction;
    transaction.puts.push_back(
        {keys::revocation(revocation.id), records::write(revocation), revocation.expires_at}
    );
    ticket.add_to(transaction, "", revocation.vm);
    auto stored = co_await store_.commit(std::move(transaction));
    if (!stored) {
        co_return fail(explained(std::move(stored).error(), ticket));
    }
    const std::unique_lock lock{mutex_};
    by_id_.insert_or_assign(revocation.id, revocation);
    co_return revocation;
}

void Revocations::forget_expired(Timestamp at) {
    const std::unique_lock lock{mutex_};
    std::erase_if(by_id_, [at](const auto& each) { return each.second.expires_at <= at; });
}

}  // namespace vmm::app
