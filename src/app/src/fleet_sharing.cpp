#include "vmm/app/fleet.h"
#include "vmm/base/fault.h"
#include "vmm/base/text.h"
#include "vmm/domain/names.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "keys.h"
#include "recall.h"

// Who else may use a machine, and how it changes hands.
namespace vmm::app {
namespace {

using domain::Action;
using domain::Grant;

constexpr std::int64_t longest_acceptance_s = 7 * 24 * 3600;

Error no_offer(const std::string& id) {
    return Error{Code::conflict, "the machine " + quote(id) + " is offered to nobody"}.with_slug("no-offer");
}

void put_grant(std::vector<Grant>& grants, const Grant& grant) {
    const auto place = std::ranges::lower_bound(grants, grant.to, {}, &Grant::to);
    if (place != grants.end() && place->to == grant.to) {
        *place = grant;
    } else {
        grants.insert(place, grant);
    }
}

void remove_grant(std::vector<Grant>& grants, const domain::Address& address) {
    std::erase_if(grants, [&address](const Grant& grant) { return grant.to == address; });
}

}  // namespace

Task<Grant> Fleet::share(
    domain::Caller caller,
    std::string id,
    Grant grant,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    CO_TRY(const auto machine, find(caller, Action::share, id));
    const auto& vm = machine->vm();
    if (vm.owner.is(grant.to)) {
        co_return fail(Error{Code::invalid, "the machine's owner has every right already"}
                           .with_slug("owner-is-no-collaborator")
                           .with_field("address"));
    }
    grant.given_by = caller.address;
    grant.given_at = now();
    if (grant.expires_at && *grant.expires_at <= grant.given_at) {
        co_return invalid("expires_at", "it is past: " + rfc3339(*grant.expires_at));
    }
    const bool known = std::ranges::find(vm.collaborators, grant.to, &Grant::to) != vm.collaborators.end();
    if (!known && vm.collaborators.size() >= domain::most_collaborators) {
        co_return fail(Error{
            Code::conflict,
            "the machine has " + std::to_string(domain::most_collaborators) +
                " collaborators, which is the most"
        }
                           .with_slug("too-many-collaborators")
                           .with_hint("a team may have " + std::to_string(domain::most_members)));
    }
    ports::Transaction transaction;
    ticket.add_to(transaction, "", id);
    Machine::Mutation apply = [grant](domain::Vm& changed) { put_grant(changed.collaborators, grant); };
    auto stored = co_await machine->amend(std::move(apply), std::move(transaction), expected_revision);
    if (!stored) {
        co_return fail(explained(std::move(stored).error(), ticket));
    }
    spdlog::info("shared vm={} with={} role={}", id, grant.to.text(), name(grant.role));
    co_return grant;
}

Task<void> Fleet::unshare(
    domain::Caller caller,
    std::string id,
    domain::Address address,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    const bool self = caller.address == address;
    CO_TRY(const auto machine, find(caller, self ? Action::view : Action::share, id));
    const auto& collaborators = machine->vm().collaborators;
    if (std::ranges::find(collaborators, address, &Grant::to) == collaborators.end()) {
        co_return fail(Code::not_found, std::string{address.text()} + " is no collaborator of the machine");
    }
    ports::Transaction transaction;
    ticket.add_to(transaction, "", id);
    Machine::Mutation apply = [address](domain::Vm& changed) {
        remove_grant(changed.collaborators, address);
    };
    auto stored = co_await machine->amend(std::move(apply), std::move(transaction), expected_revision);
    if (!stored) {
        co_return fail(explained(std::move(stored).error(), ticket));
    }
    spdlog::info("no longer shared vm={} with={}", id, address.text());
    co_return stored;
}

Task<void> Fleet::forget_grants(domain::Address address) {
    for (const auto& id : world_.registry.shared_with(address)) {
        const auto machine = present(id);
        if (!machine) {
            continue;
        }
        const auto held = *machine;
        ports::Transaction nothing_else;
        Machine::Mutation apply = [address](domain::Vm& changed) {
            remove_grant(changed.collaborators, address);
        };
        CO_CHECK(co_await held->amend(std::move(apply), std::move(nothing_else), std::nullopt));
    }
    co_return Result<void>{};
}

// Whether the word that was given beforehand is the receiver's, and good now.
Result<void> Fleet::check_receiver(const domain::Vm& vm, const TransferVm& wanted) const {
    if (const auto& team = wanted.to.team(); !team.empty() && !teams_.find(team)) {
        return invalid("to", "there is no team " + quote(team));
    }
    if (wanted.to == vm.owner) {
        return invalid("to", std::string{wanted.to.text()} + " owns the machine already");
    }
    if (!wanted.acceptance) {
        return {};
    }
    const auto refuse = [](std::string why) {
        return fail(Error{Code::invalid, std::move(why)}.with_slug("bad-acceptance").with_field("acceptance")
        );
    };
    const auto until = wanted.acceptance->until;
    const auto at = now().ms / 1000;
    if (until < at || until > at + longest_acceptance_s) {
        return refuse("it must end within a week from now, and not be past");
    }
    const auto digest =
        world_.signatures.personal_digest(domain::acceptance_text(vm.id, wanted.to.text(), until));
    const auto signer = world_.signatures.recover(digest, wanted.acceptance->signature);
    if (!signer) {
        return refuse("the signature is none");
    }
    const auto in_team = teams_.role_in(wanted.to.team(), *signer);
    const bool may_accept = wanted.to.is(*signer) || in_team >= role_for(domain::TeamAction::manage);
    if (!may_accept || !accounts_.active(*signer)) {
        return refuse(
            "it is not signed by the receiver, or by an Owner of the receiving team, over the text: " +
            domain::acceptance_text(vm.id, wanted.to.text(), until)
        );
    }
    return {};
}

Task<VmView> Fleet::transfer(
    domain::Caller caller,
    std::string id,
    TransferVm wanted,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    CO_TRY(const auto machine, find(caller, Action::share, id));
    CO_CHECK(check_receiver(machine->vm(), wanted));
    if (wanted.acceptance) {
        CO_CHECK(co_await hand_over(machine, wanted, "", ticket, expected_revision));
        co_return world_.registry.find(id);
    }
    const domain::Offer offer{wanted.to, wanted.keep_collaborators, caller.address, now()};
    ports::Transaction transaction;
    ticket.add_to(transaction, "", id);
    Machine::Mutation apply = [offer](domain::Vm& changed) { changed.offer = offer; };
    auto stored = co_await machine->amend(std::move(apply), std::move(transaction), expected_revision);
    if (!stored) {
        co_return fail(explained(std::move(stored).error(), ticket));
    }
    spdlog::info("offered vm={} to={}", id, offer.to.text());
    co_return world_.registry.find(id);
}

Task<VmView> Fleet::accept(domain::Caller caller, std::string id, std::string name, Ticket ticket) {
    CO_TRY(const auto machine, present(id));
    const auto& offer = machine->vm().offer;
    if (!caller.administrator && !world_.permissions.receives(caller, machine->vm())) {
        CO_CHECK(world_.permissions.check(caller, Action::view, machine->vm()));
        co_return fail(Code::forbidden, "the machine is not offered to you");
    }
    if (!offer) {
        co_return fail(no_offer(id));
    }
    if (!name.empty()) {
        CO_CHECK(domain::check_vm_name(name));
    }
    TransferVm taken{offer->to, offer->keep_collaborators, std::nullopt};
    CO_CHECK(co_await hand_over(machine, std::move(taken), std::move(name), ticket, std::nullopt));
    co_return world_.registry.find(id);
}

Task<void> Fleet::hand_over(
    std::shared_ptr<Machine> machine,
    TransferVm wanted,
    std::string name,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    const auto before = machine->vm();
    if (machine->held()) {
        co_return fail(
            Error{Code::conflict, "the machine is busy: the operation " + before.operation + " holds it"}
                .with_slug("machine-busy")
        );
    }
    domain::Usage comes;
    comes.machines = 1;
    comes.vcpus = before.vcpus;
    comes.memory_mib = before.memory_mib;
    comes.disk_bytes = world_.disks.real_bytes(before.id);
    for (const auto& volume : before.volumes) {
        comes.disk_bytes += world_.disks.real_bytes(volume.id);
    }
    if (world_.charged(wanted.to) != world_.charged(before.owner)) {
        CO_CHECK(world_.check_quota(wanted.to, comes));
    }
    const auto called = name.empty() ? before.name : name;
    const auto name_key = keys::vm_name(wanted.to, called);
    ports::Transaction transaction;
    ticket.add_to(transaction, "", before.id);
    transaction.expect.push_back({name_key, 0});
    transaction.puts.push_back({name_key, before.id, {}});
    transaction.removes.push_back(keys::vm_name(before.owner, before.name));
    std::string used;
    if (const auto& word = wanted.acceptance) {
        // Good once: the machine may come back before it ends.
        const auto text = domain::acceptance_text(before.id, wanted.to.text(), word->until);
        used = std::string{keys::nonces}.append("acceptance/").append(to_hex(world_.signatures.sha256(text)));
        transaction.expect.push_back({used, 0});
        transaction.puts.push_back({used, "1", Timestamp{(word->until + 1) * 1000}});
    }
    Machine::Mutation apply = [wanted, called](domain::Vm& vm) {
        vm.owner = wanted.to;
        vm.name = called;
        for (auto& volume : vm.volumes) {
            volume.owner = wanted.to;
        }
        if (!wanted.keep_collaborators) {
            vm.collaborators.clear();
        } else if (const auto account = wanted.to.account()) {
            remove_grant(vm.collaborators, *account);
        }
        vm.offer.reset();
    };
    fault_point("transfer.before-fact");
    auto stored = co_await machine->amend(std::move(apply), std::move(transaction), expected_revision);
    if (stored) {
        fault_point("transfer.after-fact");
        spdlog::info("transferred vm={} from={} to={}", before.id, before.owner.text(), wanted.to.text());
        co_return stored;
    }
    auto error = std::move(stored).error();
    if (error.field() == name_key) {
        co_return fail(Error{Code::conflict, "the receiver has a machine named " + quote(called) + " already"}
                           .with_slug("name-taken")
                           .with_field("name")
                           .with_hint("accept it under another name"));
    }
    if (!used.empty() && error.field() == used) {
        co_return fail(Error{Code::conflict, "this acceptance was used before"}
                           .with_slug("acceptance-used")
                           .with_field("acceptance"));
    }
    co_return fail(explained(std::move(error), ticket));
}

Task<void> Fleet::withdraw(domain::Caller caller, std::string id, Ticket ticket) {
    CO_TRY(const auto machine, present(id));
    const auto& vm = machine->vm();
    if (!world_.permissions.receives(caller, vm)) {
        CO_CHECK(world_.permissions.check(caller, Action::share, vm));
    }
    if (!vm.offer) {
        co_return fail(no_offer(id));
    }
    ports::Transaction transaction;
    ticket.add_to(transaction, "", id);
    Machine::Mutation apply = [](domain::Vm& changed) { changed.offer.reset(); };
    auto stored = co_await machine->amend(std::move(apply), std::move(transaction), std::nullopt);
    if (!stored) {
        co_return fail(explained(std::move(stored).error(), ticket));
    }
    co_return stored;
}

}  // namespace vmm::app
