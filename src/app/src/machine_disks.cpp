#include "vmm/app/machine.h"
#include "vmm/base/fault.h"
#include "vmm/base/text.h"
#include "vmm/records/records.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "keys.h"

// A machine's disks: volumes that come and go, disks that grow, copies of the root disk, and what happens
// when the host's disk is full. Changes of disks leave the status as it is; the operation's id in the record
// is what holds the machine.
namespace vmm::app {
namespace {

using domain::Job;
using domain::Progress;
using domain::Status;
using namespace std::chrono_literals;

constexpr std::string_view no_space_word = "no-space";
constexpr std::uint64_t headroom_mib = 16;  // before a machine that ran out of room goes on
constexpr auto agent_limit = 500ms;
constexpr auto busy_limit = 60s;  // that a copy waits for its source to be free

}  // namespace

bool Machine::held() const {
    return domain::busy(vm_.status) || !vm_.operation.empty() || !lent_to_.empty();
}

Task<std::string> Machine::reconfigure(
    domain::Operation operation,
    Mutation intend,
    ports::Transaction intent,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    CO_CHECK(admit(operation.kind, JobOptions{}, expected_revision));
    const auto before = vm_.operation;
    const auto kind = std::string{name(operation.kind)};
    // From here on the machine is taken: nobody else gets past admit().
    vm_.operation = operation.id;
    intent.puts.push_back(Operations::record(operation));
    ticket.add_to(intent, operation.id, vm_.id);
    fault_point(kind + ".before-intent");
    auto stored = co_await change(std::move(intend), std::move(intent));
    if (!stored) {
        vm_.operation = before;
        co_return fail(std::move(stored).error());
    }
    fault_point(kind + ".after-intent");
    world_.operations.put(operation);
    const auto id = operation.id;
    spawn(std::move(operation));
    co_return id;
}

ports::DiskPlan Machine::disk_plan(const std::string& id, const domain::DiskTuning& tuning) const {
    const auto& settings = world_.settings;
    ports::DiskPlan plan;
    plan.id = id;
    plan.file = world_.disks.path(id == "root" ? vm_.id : id);
    plan.cache = tuning.cache.empty() ? settings.disk_cache : tuning.cache;
    plan.trim = settings.disk_trim;
    plan.iops = tuning.iops.value_or(settings.disk_iops);
    plan.throughput_mbps = tuning.throughput_mbps.value_or(settings.disk_throughput_mbps);
    return plan;
}

// Of a machine that was just launched.
Task<void> Machine::apply_limits(domain::Vm to) {
    std::vector<ports::DiskPlan> plans{disk_plan("root", to.root_tuning)};
    for (const auto& volume : to.volumes) {
        plans.push_back(disk_plan(volume.id, volume.tuning));
    }
    for (const auto& plan : plans) {
        if (plan.iops > 0 || plan.throughput_mbps > 0) {
            CO_CHECK(co_await instance_->limit(plan.id, plan.iops, plan.throughput_mbps));
        }
    }
    co_return Result<void>{};
}

asio::awaitable<void> Machine::change_disks(domain::Operation operation) {
    Result<void> done;
    switch (operation.kind) {
        case Job::attach:
            done = co_await attach(operation);
            if (!done && instance_) {
                // Whatever of it was done; its file may go next.
                (void)co_await instance_->detach(operation.disk);
            }
            break;
        case Job::detach: done = co_await detach(operation); break;
        default: done = co_await grow(operation); break;
    }
    std::optional<Error> error;
    if (!done) {
        error = std::move(done).error();
    }
    co_await settle_disks(std::move(operation), std::move(error));
}

Task<void> Machine::attach(domain::Operation operation) {
    const auto volume = std::ranges::find(vm_.volumes, operation.disk, &domain::Volume::id);
    if (volume == vm_.volumes.end()) {
        co_return fail(Code::internal, "the volume is not on the machine's record");
    }
    const auto plan = disk_plan(volume->id, volume->tuning);
    if (operation.size_gib > 0) {
        CO_CHECK(world_.disks.make_volume(operation.disk, operation.size_gib));
    }
    fault_point("attach.made");
    if (instance_) {
        CO_CHECK(co_await instance_->attach(plan));
        fault_point("attach.plugged");
        if (plan.iops > 0 || plan.throughput_mbps > 0) {
            CO_CHECK(co_await instance_->limit(plan.id, plan.iops, plan.throughput_mbps));
        }
    }
    co_return Result<void>{};
}

Task<void> Machine::detach(domain::Operation operation) {
    if (instance_) {
        CO_CHECK(co_await instance_->detach(operation.disk));
    }
    fault_point("detach.unplugged");
    co_return Result<void>{};
}

Task<void> Machine::grow(domain::Operation operation) {
    if (instance_) {
        CO_CHECK(
            co_await instance_->resize(operation.disk, static_cast<std::uint64_t>(operation.size_gib) << 30)
        );
    } else {
        CO_CHECK(
            co_await world_.disks.grow(operation.disk == "root" ? vm_.id : operation.disk, operation.size_gib)
        );
    }
    fault_point("grow.grown");
    co_return Result<void>{};
}

// Ends a change of disks: what was done stands in the record, what was not is taken back.
asio::awaitable<void> Machine::settle_disks(domain::Operation operation, std::optional<Error> error) {
    const auto kind = std::string{name(operation.kind)};
    fault_point(kind + ".before-fact");
    operation.status = error ? Progress::failed : Progress::succeeded;
    operation.progress = 100;
    operation.error = error;
    operation.updated_at = now();
    ports::Transaction transaction;
    const auto found = std::ranges::find(vm_.volumes, operation.disk, &domain::Volume::id);
    const auto volume = found == vm_.volumes.end() ? std::nullopt : std::optional{*found};
    const bool leaves =
        volume && (operation.kind == Job::detach ? !error : operation.kind == Job::attach && error);
    const bool stays_alone = leaves && !(operation.kind == Job::attach && operation.size_gib > 0);
    if (leaves && !stays_alone) {
        (void)world_.disks.remove(operation.disk);
    }
    if (stays_alone) {
        transaction.puts.push_back({keys::volume(volume->id), records::write(*volume), {}});
    }
    const Mutation mutate = [operation, leaves](domain::Vm& vm) {
        vm.operation.clear();
        if (leaves) {
            std::erase_if(vm.volumes, [&operation](const auto& each) { return each.id == operation.disk; });
        }
        if (operation.kind == Job::grow && !operation.error) {
            for (auto& each : vm.volumes) {
                each.size_gib = each.id == operation.disk ? operation.size_gib : each.size_gib;
            }
            vm.disk_gib = operation.disk == "root" ? operation.size_gib : vm.disk_gib;
        }
    };
    domain::Vm shown = vm_;
    mutate(shown);
    ++shown.revision;
    transaction.puts.push_back(Operations::record(operation));
    add_answer(transaction, operation, &shown);
    co_await record_fact(mutate, std::move(transaction));
    fault_point(kind + ".after-fact");
    if (stays_alone) {
        world_.volumes.insert_or_assign(volume->id, *volume);
    }
    spdlog::info(
        "{} {} vm={} name={} disk={} op={}{}",
        kind,
        name(operation.status),
        vm_.id,
        vm_.name,
        operation.disk,
        operation.id,
        error ? " error=\"" + error->message() + "\"" : ""
    );
    world_.operations.put(std::move(operation));
}

Task<void> Machine::tune(
    std::string disk,
    domain::DiskTuning tuning,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    CO_CHECK(admit(Job::grow, JobOptions{}, expected_revision));
    if (instance_) {
        const auto plan = disk_plan(disk, tuning);
        CO_CHECK(co_await instance_->limit(disk, plan.iops, plan.throughput_mbps));
    }
    ports::Transaction transaction;
    ticket.add_to(transaction, "", vm_.id);
    Mutation keep = [disk, tuning](domain::Vm& vm) {
        if (disk == "root") {
            vm.root_tuning = tuning;
        }
        for (auto& volume : vm.volumes) {
            if (volume.id == disk) {
                volume.tuning = tuning;
            }
        }
    };
    co_return co_await change(std::move(keep), std::move(transaction));
}

Task<void> Machine::copy_root(std::filesystem::path overlay) {
    const auto until = std::chrono::steady_clock::now() + busy_limit;
    while (held()) {
        if (std::chrono::steady_clock::now() > until) {
            co_return fail(
                Error{Code::conflict, "the machine whose disk is wanted is busy"}.with_slug("machine-busy")
            );
        }
        co_await pause_for(50ms);
    }

    struct Lent {
        explicit Lent(std::string& to) : to_{to} { to_ = "copy"; }

        Lent(const Lent&) = delete;
        Lent& operator=(const Lent&) = delete;

        ~Lent() { to_.clear(); }

        std::string& to_;
    };

    const auto self = shared_from_this();
    const Lent lent{lent_to_};
    if (instance_) {
        CO_TRY(const auto image, world_.bootable(nullptr, vm_.image));
        CO_CHECK(world_.disks.make_overlay(overlay, image, vm_.disk_gib));
        // With an agent the file systems are at rest for the instant of which the copy is.
        const auto guest = instance_->agent();
        const bool frozen =
            vm_.boot_completed_at && co_await guest->ping(agent_limit) && co_await guest->freeze();
        fault_point("copy.frozen");
        std::function<Task<void>()> thaw;
        if (frozen) {
            thaw = [guest]() -> Task<void> { return guest->thaw(); };
        }
        auto copied = co_await instance_->copy_root(overlay, std::move(thaw));
        // The machine may have ended meanwhile.
        thaw_again();
        // The guest may have turned itself off in the middle; then its disk lies still, and is copied as it
        // is.
        if (copied || domain::live(vm_.status)) {
            co_return copied;
        }
        std::error_code ignored;
        std::filesystem::remove(overlay, ignored);
    }
    co_return co_await world_.disks.copy(world_.disks.path(vm_.id), overlay);
}

std::string Machine::no_space() const {
    return std::string{no_space_word} + ": the host's disk has " +
           std::to_string(world_.disks.available_mib()) + " MiB free where disks go, " +
           std::to_string(headroom_mib) +
           " MiB are needed; the machine goes on by itself when they are there";
}

void Machine::on_stalled(std::string why) {
    last_stall_ = std::move(why);
    world_.jobs.spawn(vm_.id + " stall", [](std::shared_ptr<Machine> self) -> asio::awaitable<void> {
        co_await self->stall();
    }(shared_from_this()));
}

// QEMU has stopped the machine, because a write failed.
asio::awaitable<void> Machine::stall() {
    const auto self = shared_from_this();
    while (domain::busy(vm_.status)) {
        co_await pause_for(20ms);
    }
    if (!instance_ || vm_.status != Status::running) {
        co_return;
    }
    const auto state = co_await instance_->state();
    if (!state || *state != ports::RunState::stalled || vm_.status != Status::running) {
        co_return;
    }
    const bool full = last_stall_ == no_space_word;
    const auto reason =
        full ? no_space()
             : last_stall_ + ": a write to the machine's disk failed on the host; resume tries again";
    vm_.status = *domain::next(Status::running, domain::Event::stalled);
    world_.journal.add(vm_.id, last_stall_, reason);
    spdlog::warn("the machine was stopped vm={} name={} reason=\"{}\"", vm_.id, vm_.name, reason);
    ports::Transaction nothing_else;
    Mutation mutate = [reason](domain::Vm& vm) {
        if (vm.status == Status::running) {
            vm.status = Status::paused;
        }
        vm.status_reason = reason;
    };
    co_await record_fact(std::move(mutate), std::move(nothing_else));
    if (full) {
        co_await wait_for_room();
    }
}

asio::awaitable<void> Machine::wait_for_room() {
    const auto self = shared_from_this();
    if (std::exchange(waiting_for_room_, true)) {
        co_return;
    }
    while (vm_.status == Status::paused && vm_.status_reason.starts_with(no_space_word)) {
        co_await pause_for(500ms);
        if (held() || !instance_ || vm_.status != Status::paused ||
            world_.disks.available_mib() < headroom_mib) {
            continue;
        }
        (void)co_await instance_->resume();
        // What was refused is written again at once, and may be refused again.
        co_await pause_for(100ms);
        if (!instance_) {
            continue;
        }
        const auto state = co_await instance_->state();
        if (!state || *state != ports::RunState::running || vm_.status != Status::paused || held()) {
            continue;
        }
        vm_.status = *domain::next(Status::paused, domain::Event::went_on);
        world_.journal.add(
            vm_.id, "space-again", "there is room on the host's disk again; the machine goes on"
        );
        spdlog::info("there is room again, the machine goes on vm={} name={}", vm_.id, vm_.name);
        ports::Transaction nothing_else;
        Mutation mutate = [](domain::Vm& vm) {
            if (vm.status == Status::paused) {
                vm.status = Status::running;
            }
            vm.status_reason.clear();
        };
        co_await record_fact(std::move(mutate), std::move(nothing_else));
    }
    waiting_for_room_ = false;
}

}  // namespace vmm::app
