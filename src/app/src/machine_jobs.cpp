#include "vmm/app/machine.h"
#include "vmm/app/networks.h"
#include "vmm/base/fault.h"

#include <spdlog/spdlog.h>

// The jobs of a machine. Each begins when its intent is stored and ends in finish() or vanish().
namespace vmm::app {
namespace {

using domain::Event;
using domain::Job;
using Remains = ports::Hypervisor::Remains;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds deaf_after = 10s;
constexpr std::chrono::milliseconds agent_limit = 1s;

}  // namespace

void Machine::spawn(domain::Operation operation) {
    auto title = vm_.id + " " + std::string{name(operation.kind)};
    world_.jobs.spawn(
        std::move(title),
        [](std::shared_ptr<Machine> self, domain::Operation wanted) -> asio::awaitable<void> {
            co_await self->run(std::move(wanted));
        }(shared_from_this(), std::move(operation))
    );
}

asio::awaitable<void> Machine::run(domain::Operation operation) {
    switch (operation.kind) {
        case Job::create:
        case Job::clone: co_await make(std::move(operation)); co_return;
        case Job::restart: co_await restart(std::move(operation)); co_return;
        case Job::remove: co_await remove(std::move(operation)); co_return;
        case Job::start: {
            auto outcome = co_await start();
            co_await finish(std::move(operation), std::move(outcome));
            co_return;
        }
        case Job::stop: {
            auto outcome = co_await stop(operation);
            co_await finish(std::move(operation), std::move(outcome));
            co_return;
        }
        case Job::pause: {
            auto outcome = co_await pause();
            co_await finish(std::move(operation), std::move(outcome));
            co_return;
        }
        case Job::attach:
        case Job::detach:
        case Job::grow: co_await change_disks(std::move(operation)); co_return;
        case Job::import:
        case Job::publish: co_return;  // not machines'
        case Job::resume: {
            auto outcome = co_await resume();
            co_await finish(std::move(operation), std::move(outcome));
            co_return;
        }
    }
}

Task<void> Machine::prepare_disk(domain::Operation operation) {
    if (operation.kind == Job::clone && vm_.status != domain::Status::creating) {
        co_return Result<void>{};  // copied before an interruption; the machine may have run on it
    }
    if (operation.kind == Job::clone) {
        // Whatever an interrupted attempt has left is not a point in time.
        CO_CHECK(world_.disks.remove(vm_.id));
        co_return co_await world_.copy_root(operation.source, world_.disks.path(vm_.id));
    }
    CO_TRY(const auto image, world_.bootable(nullptr, vm_.image));
    CO_CHECK(world_.disks.make_root(vm_.id, image, vm_.disk_gib));
    co_return Result<void>{};
}

Task<ports::LaunchPlan> Machine::plan() {
    CO_TRY(const auto image, world_.bootable(nullptr, vm_.image));
    // Made again when the host lost it before it was ever used; an existing disk is left alone.
    CO_CHECK(world_.disks.make_root(vm_.id, image, vm_.disk_gib));
    ports::LaunchPlan plan;
    plan.id = vm_.id;
    plan.name = vm_.name;
    plan.vcpus = vm_.vcpus;
    plan.memory_mib = vm_.memory_mib;
    plan.kernel = image.kernel;
    plan.initrd = image.initrd;
    plan.command_line = image.command_line;
    plan.firmware = image.firmware;
    plan.disks.push_back(disk_plan("root", vm_.root_tuning));
    for (const auto& volume : vm_.volumes) {
        std::error_code failed;
        if (!std::filesystem::exists(world_.disks.path(volume.id), failed)) {
            co_return fail(
                Error{Code::unavailable, "the data of the volume " + volume.id + " is missing on this host"}
                    .with_slug("volume-missing")
            );
        }
        plan.disks.push_back(disk_plan(volume.id, volume.tuning));
    }
    if (!vm_.gpus.empty()) {
        CO_CHECK(domain::check_gpus(vm_.gpus, world_.host.gpus()));
        plan.gpus = vm_.gpus;
    }
    plan.boot_token = boot_token_;
    if (world_.networks->routed(vm_)) {
        plan.callback_url = "http://169.254.169.254:80/vm/boot_complete";
    }
    CO_TRY(plan.nics, co_await world_.networks->connect(vm_));
    CO_CHECK(co_await write_seed(plan));
    co_return plan;
}

Task<void> Machine::launch() {
    const auto turn = co_await world_.starts.take();
    if (boot_token_.empty()) {
        // An earlier run of the service prepared the token that is in the record and took it with it.
        arm_boot_token();
        ports::Transaction nothing_else;
        Mutation keep = [hash = vm_.boot_token_hash](domain::Vm& vm) { vm.boot_token_hash = hash; };
        CO_CHECK(co_await change(std::move(keep), std::move(nothing_else)));
    }
    CO_TRY(auto what, co_await plan());
    fault_point("start.planned");
    ended_.reset();
    vm_.boot_completed_at.reset();
    vm_.addresses.clear();
    CO_TRY(instance_, co_await world_.hypervisor.launch(std::move(what), events()));
    fault_point("start.launched");
    boot_token_.clear();
    begin_boot();
    vm_.host_boot_id = world_.host.boot_id();
    auto going = co_await apply_limits(vm_);
    if (going) {
        going = co_await instance_->resume();
    }
    if (!going) {
        (void)co_await instance_->end();
        co_return going;
    }
    fault_point("start.resumed");
    co_return Result<void>{};
}

Machine::Outcome Machine::outcome_of_failure(Event otherwise, Error error) {
    if (ended_) {
        const auto ended = *std::exchange(ended_, std::nullopt);
        instance_.reset();
        const bool broke = ended.cause == ports::Ended::Cause::broke;
        return {
            broke ? Event::broke : Event::stopped,
            ended.reason,
            Error{Code::conflict, ended.reason}.with_slug("machine-ended")
        };
    }
    auto reason = otherwise == Event::broke ? error.message() : vm_.status_reason;
    return {otherwise, std::move(reason), std::move(error)};
}

asio::awaitable<Machine::Outcome> Machine::start() {
    auto launched = co_await launch();
    if (launched) {
        co_return Outcome{Event::booted, ""};
    }
    instance_.reset();
    ended_.reset();
    (void)co_await clear(Remains::logs);
    auto error = std::move(launched).error();
    auto reason = error.message();
    co_return Outcome{Event::broke, std::move(reason), std::move(error)};
}

// The power button first; a guest that is deaf to it is asked by its agent, half-way through its time.
asio::awaitable<bool> Machine::gone_when_asked(std::chrono::seconds limit) {
    const auto half = std::min<std::chrono::milliseconds>(limit / 2, deaf_after);
    if (co_await instance_->gone_within(half)) {
        co_return true;
    }
    const auto began = std::chrono::steady_clock::now();
    const auto guest = instance_->agent();
    if (co_await guest->ping(std::min<std::chrono::milliseconds>(limit / 4, agent_limit))) {
        (void)co_await guest->shut_down();
    }
    const auto spent =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
    co_return co_await instance_->gone_within(std::max<std::chrono::milliseconds>(limit - half - spent, {}));
}

asio::awaitable<Machine::Outcome> Machine::stop(domain::Operation operation) {
    std::string reason = operation.force ? "stopped by force, as asked" : "stopped, as asked";
    if (instance_ && !operation.force) {
        // A paused guest cannot hear the power button.
        (void)co_await instance_->resume();
        (void)co_await instance_->press_power_button();
        fault_point("stop.asked");
        if (!co_await gone_when_asked(std::chrono::seconds{operation.timeout_s})) {
            reason = "stopped by force: the guest did not turn itself off within " +
                     std::to_string(operation.timeout_s) + " s";
        }
    }
    Result<void> ended;
    if (instance_) {
        ended = co_await instance_->end();
    }
    fault_point("stop.ended");
    if (ended) {
        instance_.reset();
        ended_.reset();
        ended = co_await clear(Remains::logs);
    }
    if (!ended) {
        auto error = std::move(ended).error();
        auto why = error.message();
        co_return Outcome{Event::broke, std::move(why), std::move(error)};
    }
    co_return Outcome{Event::stopped, std::move(reason)};
}

asio::awaitable<Machine::Outcome> Machine::pause() {
    if (!instance_) {
        co_return outcome_of_failure(Event::broke, Error{Code::unavailable, "the machine has no process"});
    }
    auto done = co_await instance_->pause();
    fault_point("pause.paused");
    if (!done || ended_) {
        co_return outcome_of_failure(
            Event::refused, done ? Error{Code::unavailable, "the machine ended"} : std::move(done).error()
        );
    }
    co_return Outcome{Event::paused, "paused, as asked"};
}

asio::awaitable<Machine::Outcome> Machine::resume() {
    if (!instance_) {
        co_return outcome_of_failure(Event::broke, Error{Code::unavailable, "the machine has no process"});
    }
    auto done = co_await instance_->resume();
    fault_point("resume.resumed");
    if (!done || ended_) {
        co_return outcome_of_failure(
            Event::refused, done ? Error{Code::unavailable, "the machine ended"} : std::move(done).error()
        );
    }
    co_return Outcome{Event::resumed, ""};
}

// A create is all or nothing: when a step fails, what was made is taken back and the machine is gone again.
asio::awaitable<void> Machine::make(domain::Operation operation) {
    auto made = co_await prepare_disk(operation);
    fault_point("create.disk");
    std::optional<Error> error;
    if (!made) {
        error = std::move(made).error();
    } else if (operation.start) {
        if (vm_.status == domain::Status::creating) {
            ports::Transaction nothing_else;
            Mutation starting = [](domain::Vm& vm) { vm.status = domain::Status::starting; };
            co_await record_fact(std::move(starting), std::move(nothing_else));
        }
        fault_point("create.starting");
        auto outcome = co_await start();
        if (!outcome.error) {
            co_await finish(std::move(operation), std::move(outcome));
            co_return;
        }
        error = std::move(outcome.error);
    }
    if (!error) {
        co_await finish(std::move(operation), Outcome{Event::created, "created, not started"});
        co_return;
    }
    instance_.reset();
    (void)co_await clear(Remains::nothing);
    (void)world_.disks.remove(vm_.id);
    co_await vanish(std::move(operation), std::move(error));
}

asio::awaitable<void> Machine::restart(domain::Operation operation) {
    if (vm_.status == domain::Status::stopping) {
        auto stopped = co_await stop(operation);
        if (stopped.error) {
            co_await finish(std::move(operation), std::move(stopped));
            co_return;
        }
        arm_boot_token();
        ports::Transaction nothing_else;
        Mutation starting = [hash = vm_.boot_token_hash](domain::Vm& vm) {
            vm.status = domain::Status::starting;
            vm.boot_token_hash = hash;
        };
        co_await record_fact(std::move(starting), std::move(nothing_else));
    }
    fault_point("restart.starting");
    auto outcome = co_await start();
    co_await finish(std::move(operation), std::move(outcome));
}

asio::awaitable<void> Machine::remove(domain::Operation operation) {
    Result<void> done;
    if (instance_) {
        done = co_await instance_->end();
    }
    fault_point("delete.ended");
    instance_.reset();
    ended_.reset();
    if (done) {
        done = co_await clear(Remains::nothing);
    }
    fault_point("delete.cleared");
    if (done) {
        done = world_.disks.remove(vm_.id);
    }
    for (const auto& volume : vm_.volumes) {
        if (done && operation.with_volumes) {
            done = world_.disks.remove(volume.id);
        }
    }
    fault_point("delete.disk");
    if (!done) {
        auto error = std::move(done).error();
        auto why = error.message();
        co_await finish(std::move(operation), Outcome{Event::broke, std::move(why), std::move(error)});
        co_return;
    }
    co_await vanish(std::move(operation), {});
}

}  // namespace vmm::app
