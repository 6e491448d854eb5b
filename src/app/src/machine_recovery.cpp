#include "vmm/app/machine.h"
#include "vmm/base/fault.h"
#include "vmm/base/ids.h"

#include <spdlog/spdlog.h>

// What a machine does when the service comes back.
namespace vmm::app {
namespace {

using domain::Event;
using domain::Job;
using domain::Power;
using domain::Status;
using ports::RunState;
using Remains = ports::Hypervisor::Remains;
using namespace std::chrono_literals;

// A job that has taken the service down with it this often is not taken up again.
constexpr int most_attempts = 3;

}  // namespace

asio::awaitable<void> Machine::recover(std::optional<domain::Operation> interrupted) {
    if (domain::busy(vm_.status) && interrupted) {
        co_await recover_job(*std::move(interrupted));
        co_return;
    }
    if (interrupted && domain::reconfigures(interrupted->kind) && vm_.operation == interrupted->id) {
        co_await recover_steady();
        co_await recover_disks(*std::move(interrupted));
        co_return;
    }
    if (interrupted) {
        // Stored as open, but the machine's record says that the job is over: only the operation's end was
        // missing.
        interrupted->status = domain::Progress::failed;
        interrupted->error = Error{Code::cancelled, "the service was interrupted"}.with_slug("interrupted");
        interrupted->updated_at = now();
        ports::Transaction transaction;
        transaction.puts.push_back(Operations::record(*interrupted));
        (void)co_await world_.store.commit(std::move(transaction));
        world_.operations.put(*interrupted);
    }
    co_await recover_steady();
}

// Takes the process over; instance_ is set when it answers.
Task<RunState> Machine::adopt() {
    auto found = co_await world_.hypervisor.adopt(vm_.id, events());
    if (!found) {
        (void)co_await clear(Remains::logs);
        co_return std::unexpected{std::move(found).error()};
    }
    instance_ = *std::move(found);
    auto state = co_await instance_->state();
    if (state) {
        co_await recover_nics();
        thaw_again();
        if (vm_.boot_completed_at) {
            co_await wipe_seed();
        } else {
            begin_boot();
        }
    }
    if (!state) {
        instance_.reset();
        (void)co_await clear(Remains::logs);
    }
    co_return state;
}

asio::awaitable<void> Machine::recover_steady() {
    const bool expected = domain::live(vm_.status) || domain::busy(vm_.status);
    if (!expected) {
        (void)co_await clear(Remains::logs);
        co_return;
    }
    const auto state = co_await adopt();
    auto status = Status::failed;
    std::string reason = vm_.status_reason;
    if (!state) {
        const bool rebooted = vm_.host_boot_id != world_.host.boot_id();
        reason = rebooted ? "the host was restarted"
                          : "QEMU was gone when the service came back: " + state.error().message();
        if (rebooted && vm_.desired_power == Power::on) {
            status = Status::stopped;
        }
    } else if (*state == RunState::guest_off) {
        (void)co_await instance_->end();
        instance_.reset();
        ended_.reset();
        (void)co_await clear(Remains::logs);
        status = Status::stopped;
        reason = "the guest turned itself off";
    } else {
        status = *state == RunState::running ? Status::running : Status::paused;
        reason = status == Status::running ? "" : reason;
    }
    const bool stalled = state && *state == RunState::stalled;
    if (stalled) {
        reason = no_space();
    }
    if (status == vm_.status) {
        if (stalled) {
            await_room();
        }
        co_return;
    }
    const bool off = status == Status::stopped && state;
    ports::Transaction nothing_else;
    Mutation mutate = [status, reason, off](domain::Vm& vm) {
        vm.status_reason = reason;
        if (domain::busy(vm.status)) {
            vm.operation.clear();
        }
        vm.status = status;
        if (off) {
            vm.desired_power = Power::off;
        }
    };
    co_await record_fact(std::move(mutate), std::move(nothing_else));
    spdlog::warn(
        "found changed vm={} name={} status={} reason=\"{}\"", vm_.id, vm_.name, name(status), reason
    );
    if (stalled) {
        await_room();
    }
    if (status == Status::stopped && !off) {
        power_on_again();
    }
}

void Machine::await_room() {
    world_.jobs.spawn(vm_.id + " wait for room", [](std::shared_ptr<Machine> self) -> asio::awaitable<void> {
        co_await self->wait_for_room();
    }(shared_from_this()));
}

// A freeze that a killed service, or a guest too slow to answer, has left: the guest is asked until it says
// that its file systems go on.
void Machine::thaw_again() {
    if (!instance_ || !instance_->agent()->frozen()) {
        return;
    }
    world_.jobs.spawn(
        vm_.id + " thaw",
        [](std::shared_ptr<Machine> self, std::shared_ptr<ports::GuestAgent> guest) -> asio::awaitable<void> {
            while (guest->frozen() && self->instance_ && self->instance_->agent() == guest) {
                const auto thawed = co_await guest->thaw();
                if (!thawed) {
                    spdlog::warn("cannot thaw vm={} error=\"{}\"", self->vm_.id, thawed.error().message());
                    co_await pause_for(1s);
                }
            }
        }(shared_from_this(), instance_->agent())
    );
}

// The host was restarted under a machine that should run.
void Machine::power_on_again() {
    world_.jobs.spawn(vm_.id + " power on again", [](std::shared_ptr<Machine> self) -> asio::awaitable<void> {
        domain::Caller owner{self->world_.charged(self->vm_.owner), false};
        JobOptions options;
        Ticket none;
        auto begun = co_await self->begin(Job::start, options, owner, std::move(none), std::nullopt);
        if (!begun) {
            spdlog::warn("cannot start again vm={} error=\"{}\"", self->vm_.id, begun.error().message());
        }
    }(shared_from_this()));
}

asio::awaitable<void> Machine::give_up(domain::Operation operation, std::string why) {
    (void)co_await clear(Remains::logs);
    instance_.reset();
    auto error = Error{Code::internal, why}.with_slug("interrupted");
    co_await finish(std::move(operation), Outcome{Event::broke, std::move(why), std::move(error)});
}

// A change of disks that was half done is done again; every step of it can be repeated.
asio::awaitable<void> Machine::recover_disks(domain::Operation operation) {
    ++operation.attempts;
    if (operation.attempts > most_attempts) {
        co_await settle_disks(
            std::move(operation),
            Error{
                Code::internal,
                "given up: the service ended " + std::to_string(most_attempts) + " times during this job"
            }
                .with_slug("interrupted")
        );
        co_return;
    }
    ports::Transaction transaction;
    transaction.puts.push_back(Operations::record(operation));
    (void)co_await world_.store.commit(std::move(transaction));
    fault_point("recover.counted");
    spawn(std::move(operation));
}

// Finishes what was half done. What needs no process, or whose process is as it should be, ends here; the
// rest goes on as an ordinary job.
asio::awaitable<void> Machine::recover_job(domain::Operation operation) {
    ++operation.attempts;
    if (operation.attempts > most_attempts) {
        co_await give_up(
            std::move(operation),
            "given up: the service ended " + std::to_string(most_attempts) + " times during this job"
        );
        co_return;
    }
    ports::Transaction transaction;
    transaction.puts.push_back(Operations::record(operation));
    (void)co_await world_.store.commit(std::move(transaction));
    fault_point("recover.counted");
    spdlog::info(
        "taking up again op={} kind={} vm={} attempt={}",
        operation.id,
        name(operation.kind),
        vm_.id,
        operation.attempts
    );

    if (vm_.status == Status::creating || vm_.status == Status::deleting) {
        spawn(std::move(operation));
        co_return;
    }
    const auto state = co_await adopt();
    if (state && *state == RunState::guest_off && vm_.status != Status::stopping) {
        ended_ = ports::Ended{ports::Ended::Cause::guest_off, "the guest turned itself off"};
        (void)co_await instance_->end();
        instance_.reset();
        (void)co_await clear(Remains::logs);
        auto outcome =
            outcome_of_failure(Event::stopped, Error{Code::conflict, "the guest turned itself off"});
        ended_.reset();
        co_await finish(std::move(operation), std::move(outcome));
        co_return;
    }
    if (vm_.status == Status::starting && state) {
        vm_.host_boot_id = world_.host.boot_id();
        Result<void> going;
        if (*state != RunState::running) {
            going = co_await instance_->resume();
        }
        if (going) {
            co_await finish(std::move(operation), Outcome{Event::booted, ""});
            co_return;
        }
    }
    if (!state && (vm_.status == Status::pausing || vm_.status == Status::resuming)) {
        co_await give_up(
            std::move(operation), "QEMU was gone when the service came back: " + state.error().message()
        );
        co_return;
    }
    spawn(std::move(operation));
}

}  // namespace vmm::app
