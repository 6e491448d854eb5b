#include "vmm/app/fleet.h"

#include "vmm/app/networks.h"
#include "vmm/base/text.h"
#include "vmm/domain/names.h"
#include "vmm/records/records.h"

#include <algorithm>

#include "keys.h"
#include "recall.h"

namespace vmm::app {

using domain::Action;
using domain::Job;

Action action_of(Job job) {
    switch (job) {
        case Job::start:
        case Job::stop:
        case Job::restart:
        case Job::pause:
        case Job::resume: return Action::operate;
        case Job::attach:
        case Job::detach:
        case Job::grow:
        case Job::clone:
        case Job::publish: return Action::configure;
        case Job::import:
        case Job::create:
        case Job::remove: return Action::own;
    }
    return Action::own;
}

Fleet::Fleet(World& world, Accounts& accounts, Teams& teams)
    : world_{world}, accounts_{accounts}, teams_{teams} {
    accounts.forget_grants = [this](domain::Address address) { return forget_grants(address); };
    teams.owns = [this](const std::string& team) {
        const auto owner = domain::Owner::of_team(team);
        return std::ranges::any_of(
                   machines_,
                   [&owner](const auto& each) {
                       return !each.second->removed() && each.second->vm().owner == owner;
                   }
               ) ||
               std::ranges::any_of(world_.volumes, [&owner](const auto& each) {
                   return each.second.owner == owner;
               });
    };
    world_.memory_given = [this](const std::string& but) { return memory_given(but); };
    world_.each_machine = [this](const std::function<void(const domain::Vm&)>& look) {
        for (const auto& [id, machine] : machines_) {
            if (!machine->removed()) {
                look(machine->vm());
            }
        }
    };
    world_.operations.sees = [this](const domain::Caller& caller, const std::string& id) {
        const auto machine = present(id);
        return machine ? std::optional{world_.permissions.may(caller, Action::view, (*machine)->vm())}
                       : std::nullopt;
    };
    world_.copy_root = [this](std::string vm, std::filesystem::path overlay) {
        return copy_root(std::move(vm), std::move(overlay));
    };
}

// From the machines themselves, not from what readers are shown: a machine that is taken counts before it is
// stored.
std::uint64_t Fleet::memory_given(const std::string& but) const {
    std::uint64_t given = 0;
    for (const auto& [id, machine] : machines_) {
        const auto& vm = machine->vm();
        const bool to_start = vm.status != domain::Status::creating || vm.desired_power == domain::Power::on;
        if (id != but && (domain::live(vm.status) || (domain::busy(vm.status) && to_start))) {
            given += vm.memory_mib;
        }
    }
    return given;
}

Result<std::shared_ptr<Machine>> Fleet::present(const std::string& id) const {
    const auto found = machines_.find(id);
    if (found == machines_.end() || found->second->removed()) {
        return fail(Code::not_found, "there is no machine " + quote(id) + ", or it is not visible to you");
    }
    return found->second;
}

Result<std::shared_ptr<Machine>>
Fleet::find(const domain::Caller& caller, Action action, const std::string& id) const {
    TRY(auto machine, present(id));
    CHECK(world_.permissions.check(caller, action, machine->vm()));
    return machine;
}

Task<Answer> Fleet::answer(domain::Operation operation) {
    if (!operation.idempotency_key.empty()) {
        const auto stored = co_await world_.store.get(operation.idempotency_key + "/answer");
        if (stored) {
            CO_TRY(auto given, records::read_remembered(stored->value));
            co_return Answer{given.status, std::move(given.body), std::move(given.etag)};
        }
    }
    const auto vm = world_.registry.find(operation.target);
    co_return world_.render(operation, vm.get());
}

Task<Begun> Fleet::begin(
    domain::Caller caller,
    std::string id,
    Job job,
    JobOptions options,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    CO_TRY(auto recalled, co_await recall(world_, ticket));
    if (recalled) {
        co_return *std::move(recalled);
    }
    CO_TRY(const auto machine, find(caller, action_of(job), id));
    auto operation = co_await machine->begin(job, options, caller, ticket, expected_revision);
    if (!operation) {
        auto error = std::move(operation).error();
        if (key_was_taken(error, ticket)) {
            CO_TRY(auto first, co_await recall(world_, ticket));
            if (first) {
                co_return *std::move(first);
            }
        }
        co_return fail(explained(std::move(error), ticket));
    }
    forget_removed();
    co_return Begun{*std::move(operation), id, {}, false};
}

Task<VmView> Fleet::update(
    domain::Caller caller,
    std::string id,
    Change change,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    CO_TRY(const auto machine, find(caller, Action::configure, id));
    if (change.name) {
        CO_CHECK(domain::check_vm_name(*change.name));
    }
    if (change.labels) {
        CO_CHECK(domain::check_labels(*change.labels));
    }
    auto updated = co_await machine->update(std::move(change), ticket, expected_revision);
    if (!updated) {
        co_return fail(explained(std::move(updated).error(), ticket));
    }
    co_return world_.registry.find(id);
}

Task<VmView> Fleet::boot_complete(BootReport report) {
    const auto refused = [] {
        return fail(Error{Code::unauthenticated, "the boot token is missing, unknown or used"}.with_slug(
            "bad-boot-token"
        ));
    };
    const auto hash = to_hex(world_.signatures.sha256(report.token));
    const auto by_token = world_.boot_tokens.find(hash);
    std::string id = report.source.empty() ? "" : world_.networks->machine_at(report.source);
    const bool known = !report.token.empty() && by_token != world_.boot_tokens.end();
    if (report.source.empty() && known) {
        id = by_token->second;
    }
    // A guest that knows another's token is still itself.
    const bool foreign = !report.source.empty() && known && by_token->second != id;
    if (id.empty() || foreign || !machines_.contains(id)) {
        co_return refused();
    }
    const auto machine = machines_.at(id);
    const auto& vm = machine->vm();
    const bool name_fits = report.name.empty() || report.name == vm.name || report.name == vm.instance_id ||
                           report.name == vm.build_id;
    const bool live = domain::live(vm.status) || vm.status == domain::Status::starting;
    if (!live || !name_fits || (!report.build_id.empty() && report.build_id != vm.build_id)) {
        co_return refused();
    }
    CO_CHECK(co_await machine->boot_completed(report.address, !report.source.empty()));
    co_return world_.registry.find(vm.id);
}

std::vector<std::shared_ptr<Machine>> Fleet::all() const {
    std::vector<std::shared_ptr<Machine>> out;
    for (const auto& [id, machine] : machines_) {
        if (!machine->removed()) {
            out.push_back(machine);
        }
    }
    return out;
}

void Fleet::forget_removed() {
    std::erase_if(machines_, [](const auto& entry) { return entry.second->removed(); });
}

}  // namespace vmm::app
