#include "vmm/app/guests.h"
#include "vmm/app/networks.h"

#include <algorithm>

// Why is it stuck?
namespace vmm::app {
namespace {

using domain::Stage;
using domain::Status;
using namespace std::chrono_literals;

constexpr auto agent_limit = 1500ms;

void explain_operation(Explanation& out, World& world, const domain::Vm& vm) {
    const auto operation = world.operations.find(vm.operation);
    out.waiting_for = "the operation " + vm.operation;
    if (operation) {
        out.since = operation->created_at;
        out.waiting_for +=
            " (" + std::string{name(operation->kind)} + ", " + std::to_string(operation->progress) + " %)";
    }
    if (vm.status == Status::starting && world.starts.waiting() > 0) {
        out.problems.push_back(
            std::to_string(world.starts.waiting()) + " starts wait for a place; concurrent_vm_starts is " +
            std::to_string(world.settings.concurrent_vm_starts)
        );
    }
    if (vm.status == Status::stopping) {
        out.advice.emplace_back(
            "a guest that does not hear its power button is ended by force when the time is over"
        );
    }
    out.advice.push_back("GET /operations/" + vm.operation + "?wait=30 waits for its end");
}

void explain_boot(Explanation& out, const World& world, const domain::Vm& vm) {
    const auto& boot = *vm.boot;
    out.stage = name(boot.stage);
    out.since = boot.since;
    out.last_seen = boot.saw;
    out.last_console_line = boot.last_line;
    if (boot.stage == Stage::ready) {
        return;
    }
    out.waiting_for = domain::awaited(boot.stage);
    out.advice.emplace_back(domain::advice(boot.stage));
    if (boot.overdue) {
        out.problems.push_back(
            "the guest has not reported within vm_boot_timeout, " +
            std::to_string(world.settings.vm_boot_timeout.count()) + " s"
        );
    }
}

}  // namespace

Task<Explanation> Guests::explain(domain::Caller caller, std::string id) {
    CO_TRY(const auto machine, fleet_.find(caller, domain::Action::view, id));
    const auto& vm = machine->vm();
    Explanation out;
    out.status = name(vm.status);
    out.agent = "not asked";
    const auto wrong = world_.networks->problems();
    for (const auto& interface : vm.interfaces) {
        if (const auto found = wrong.find(interface.network); found != wrong.end()) {
            out.problems.push_back("network " + found->first + ": " + found->second);
        }
    }
    if (!vm.operation.empty()) {
        explain_operation(out, world_, vm);
    }
    if (vm.boot && domain::live(vm.status)) {
        explain_boot(out, world_, vm);
    } else if (vm.boot_completed_at && domain::live(vm.status)) {
        out.stage = name(Stage::ready);
        out.since = vm.boot_completed_at;
        out.last_seen = "the guest has reported";
    }
    if (vm.status == Status::paused) {
        out.waiting_for =
            vm.status_reason.starts_with("no-space") ? "room on the host's disk" : "somebody to resume it";
        out.problems.push_back(vm.status_reason);
        out.advice.emplace_back("POST /vms/" + id + "/resume lets it go on");
    } else if (vm.status == Status::failed) {
        out.problems.push_back(vm.status_reason);
        out.advice.emplace_back("look at the console's log; POST /vms/" + id + "/start tries again");
    } else if (vm.status == Status::stopped) {
        out.last_seen = vm.status_reason;
        out.advice.emplace_back("POST /vms/" + id + "/start starts it");
    }
    if (vm.health.starts_with("unhealthy")) {
        out.problems.push_back("HEALTHCHECK: " + vm.health);
    }
    // Last, as it takes its time; the machine may change meanwhile.
    if (vm.status == Status::running && machine->instance()) {
        const auto guest = machine->instance()->agent();
        if (guest->frozen()) {
            out.agent = "frozen";
            out.problems.emplace_back(
                "the guest's file systems are stopped for a copy of its disk; its agent is asked until it "
                "says "
                "that they go on"
            );
        } else {
            const auto answer = co_await guest->ping(agent_limit);
            out.agent = answer ? "answers" : "silent";
        }
    }
    std::erase(out.advice, "");
    co_return out;
}

}  // namespace vmm::app
