#include "vmm/app/machine.h"

#include "vmm/app/networks.h"
#include "vmm/base/fault.h"
#include "vmm/base/ids.h"
#include "vmm/base/text.h"
#include "vmm/domain/admission.h"
#include "vmm/domain/names.h"
#include "vmm/records/records.h"

#include <spdlog/spdlog.h>

#include "keys.h"

namespace vmm::app {
namespace {

using domain::Event;
using domain::Job;
using domain::Power;
using domain::Progress;
using domain::Status;
using namespace std::chrono_literals;

constexpr std::size_t token_bytes = 20;
constexpr std::uint64_t machines_idempotency_hours = 24;

std::string point(Job job, std::string_view where) {
    return std::string{name(job)}.append(".").append(where);
}

}  // namespace

Machine::Machine(World& world, domain::Vm vm, std::int64_t stored_at)
    : world_{world}, vm_{std::move(vm)}, stored_at_{stored_at} {
    put_boot_token(vm_.boot_token_hash);
}

Task<void> Machine::create(domain::Operation operation, Ticket ticket) {
    arm_boot_token();
    vm_.operation = operation.id;
    ports::Transaction transaction;
    // The ticket comes first: of a repeated request the key is told, not that its own machine has taken the
    // name.
    ticket.add_to(transaction, operation.id, vm_.id);
    const auto name_key = keys::vm_name(vm_.owner, vm_.name);
    transaction.expect.push_back({name_key, 0});
    transaction.puts.push_back({name_key, vm_.id, {}});
    transaction.puts.push_back(Operations::record(operation));
    fault_point(point(operation.kind, "before-intent"));
    Mutation as_it_is = [](domain::Vm&) {};
    auto stored = co_await change(std::move(as_it_is), std::move(transaction));
    if (!stored) {
        auto error = std::move(stored).error();
        if (error.field() == name_key) {
            co_return fail(Error{Code::conflict, "you have a machine named " + quote(vm_.name) + " already"}
                               .with_slug("name-taken")
                               .with_field("name"));
        }
        co_return fail(std::move(error));
    }
    fault_point(point(operation.kind, "after-intent"));
    world_.operations.put(operation);
    spawn(std::move(operation));
    co_return Result<void>{};
}

Result<void> Machine::admit(Job job, const JobOptions& options, std::optional<std::int64_t> expected_revision)
    const {
    if (expected_revision && *expected_revision != vm_.revision) {
        return fail(
            Code::precondition_failed,
            "the machine has changed: its revision is " + std::to_string(vm_.revision)
        );
    }
    if (!lent_to_.empty()) {
        return fail(Error{Code::conflict, "the machine's disk is being copied"}.with_slug("machine-busy"));
    }
    if (held()) {
        return fail(Error{
            Code::conflict,
            "the machine is " + std::string{name(vm_.status)} + ": the operation " + vm_.operation +
                " holds it"
        }
                        .with_slug("machine-busy")
                        .with_hint("wait for it: GET /operations/" + vm_.operation + "?wait=30"));
    }
    if (job == Job::remove && domain::live(vm_.status) && !options.force) {
        return fail(Error{Code::conflict, "the machine is " + std::string{name(vm_.status)}}
                        .with_slug("machine-running")
                        .with_hint("stop it first, or delete with ?force=true"));
    }
    if (domain::reconfigures(job)) {
        return {};
    }
    if (auto allowed = domain::step(vm_.status, domain::beginning(job)); !allowed) {
        return std::unexpected{std::move(allowed).error()};
    }
    if (job == Job::start) {
        CHECK(domain::check_memory(vm_.memory_mib, world_.memory_given(vm_.id), world_.host.capacity()));
        if (world_.starts.waiting() >= 20 * world_.settings.concurrent_vm_starts) {
            return fail(Error{
                Code::unavailable,
                std::to_string(world_.starts.waiting()) + " starts are waiting and concurrent_vm_starts is " +
                    std::to_string(world_.settings.concurrent_vm_starts)
            }
                            .with_slug("too-many-starts")
                            .with_retry_after(5));
        }
    }
    return {};
}

Task<std::string> Machine::begin(
    Job job,
    JobOptions options,
    domain::Caller caller,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    CO_CHECK(admit(job, options, expected_revision));
    domain::Operation operation;
    operation.id = new_id("op");
    operation.kind = job;
    operation.target = vm_.id;
    operation.status = Progress::running;
    operation.requested_by = caller.address;
    operation.created_at = operation.updated_at = now();
    operation.timeout_s = options.timeout_s;
    operation.force = options.force;
    operation.with_volumes = options.with_volumes;
    operation.idempotency_key = ticket.idempotency_key;

    // From here on the machine is taken: nobody else gets past admit().
    const auto before = vm_.status;
    const auto before_operation = vm_.operation;
    const auto before_token = vm_.boot_token_hash;
    vm_.status = *domain::next(before, domain::beginning(job));
    vm_.operation = operation.id;
    if (job == Job::start) {
        arm_boot_token();
    }
    ports::Transaction transaction;
    transaction.puts.push_back(Operations::record(operation));
    ticket.add_to(transaction, operation.id, vm_.id);
    fault_point(point(job, "before-intent"));
    Mutation intend = [job](domain::Vm& vm) {
        if (job == Job::start || job == Job::restart) {
            vm.desired_power = Power::on;
        } else if (job == Job::stop || job == Job::remove) {
            vm.desired_power = Power::off;
        }
    };
    auto stored = co_await change(std::move(intend), std::move(transaction));
    if (!stored) {
        vm_.status = before;
        vm_.operation = before_operation;
        put_boot_token(before_token);
        if (ended_) {
            co_await settle();
        }
        co_return fail(std::move(stored).error());
    }
    fault_point(point(job, "after-intent"));
    world_.operations.put(operation);
    const auto id = operation.id;
    spawn(std::move(operation));
    co_return id;
}

Task<void> Machine::amend(
    Mutation apply,
    ports::Transaction transaction,
    std::optional<std::int64_t> expected_revision
) {
    if (expected_revision && *expected_revision != vm_.revision) {
        co_return fail(
            Code::precondition_failed,
            "the machine has changed: its revision is " + std::to_string(vm_.revision)
        );
    }
    if (vm_.status == Status::deleting || vm_.status == Status::creating) {
        co_return fail(
            Error{Code::conflict, "the machine is " + std::string{name(vm_.status)}}.with_slug("machine-busy")
        );
    }
    co_return co_await change(std::move(apply), std::move(transaction));
}

Task<void> Machine::update(Change wanted, Ticket ticket, std::optional<std::int64_t> expected_revision) {
    ports::Transaction transaction;
    const bool renamed = wanted.name && *wanted.name != vm_.name;
    const auto name_key = keys::vm_name(vm_.owner, wanted.name.value_or(""));
    if (renamed) {
        transaction.expect.push_back({name_key, 0});
        transaction.puts.push_back({name_key, vm_.id, {}});
        transaction.removes.push_back(keys::vm_name(vm_.owner, vm_.name));
    }
    ticket.add_to(transaction, "", vm_.id);
    Mutation apply = [wanted](domain::Vm& vm) {
        vm.name = wanted.name.value_or(vm.name);
        vm.labels = wanted.labels.value_or(vm.labels);
    };
    auto stored = co_await amend(std::move(apply), std::move(transaction), expected_revision);
    if (!stored && stored.error().field() == name_key) {
        co_return fail(Error{Code::conflict, "you have a machine named " + quote(*wanted.name) + " already"}
                           .with_slug("name-taken")
                           .with_field("name"));
    }
    co_return stored;
}

Task<void> Machine::change(Mutation mutate, ports::Transaction transaction) {
    const auto turn = co_await writing_.take();
    domain::Vm next = vm_;
    next.updated_at = now();
    mutate(next);
    next.revision = vm_.revision + 1;
    const auto key = keys::vm(vm_.id);
    transaction.expect.push_back({key, stored_at_});
    transaction.puts.push_back({key, records::write(next), {}});
    CO_TRY(stored_at_, co_await world_.store.commit(std::move(transaction)));
    const bool known_otherwise = next.name != vm_.name || next.owner != vm_.owner;
    // Applied again rather than copied back: a job may have taken the machine while the store was busy.
    mutate(vm_);
    vm_.revision = next.revision;
    vm_.updated_at = next.updated_at;
    world_.registry.put(std::move(next));
    if (known_otherwise) {
        world_.networks->changed(vm_.id);
    }
    co_return Result<void>{};
}

// A fact is never given up: the effect has happened, and until it is stored the machine stays busy. It need
// not outlive a loss of power, as the intent does: no process outlives that either, and recovery finishes
// what the intent says.
asio::awaitable<void> Machine::record_fact(Mutation mutate, ports::Transaction transaction) {
    auto pause = 50ms;
    transaction.outlives = ports::Outlives::process;
    while (true) {
        auto stored = co_await change(mutate, transaction);
        if (stored) {
            co_return;
        }
        spdlog::error(
            "a change cannot be stored, trying again vm={} error=\"{}\"", vm_.id, stored.error().message()
        );
        co_await pause_for(pause);
        pause = std::min(pause * 2, 2000ms);
    }
}

void Machine::add_answer(
    ports::Transaction& transaction,
    const domain::Operation& operation,
    const domain::Vm* vm
) const {
    if (operation.idempotency_key.empty() || !world_.render) {
        return;
    }
    const auto answer = world_.render(operation, vm);
    records::Remembered remembered;
    remembered.operation = operation.id;
    remembered.target = operation.target;
    remembered.status = answer.status;
    remembered.body = answer.body;
    remembered.etag = answer.etag;
    const auto expires = operation.created_at.plus(std::chrono::hours{machines_idempotency_hours});
    // What the key was first used for is kept beside the answer, under the operation's own record.
    transaction.puts.push_back({operation.idempotency_key + "/answer", records::write(remembered), expires});
}

asio::awaitable<void> Machine::finish(domain::Operation operation, Outcome outcome) {
    fault_point(point(operation.kind, "before-fact"));
    const auto to = domain::next(vm_.status, outcome.event).value_or(Status::failed);
    operation.status = outcome.error ? Progress::failed : Progress::succeeded;
    operation.progress = 100;
    operation.error = outcome.error;
    operation.updated_at = now();
    const auto mutate = [to, outcome, at = operation.updated_at](domain::Vm& vm) {
        if (to == Status::running && vm.status == Status::starting) {
            vm.started_at = at;
        }
        vm.status = to;
        vm.status_reason = outcome.reason;
        vm.operation.clear();
        vm.updated_at = at;
        if (outcome.event == Event::stopped) {
            vm.desired_power = Power::off;
        }
        if (!domain::live(to)) {
            vm.boot.reset();
        }
    };
    domain::Vm shown = vm_;
    mutate(shown);
    ++shown.revision;
    ports::Transaction transaction;
    transaction.puts.push_back(Operations::record(operation));
    add_answer(transaction, operation, &shown);
    co_await record_fact(mutate, std::move(transaction));
    fault_point(point(operation.kind, "after-fact"));
    spdlog::info(
        "{} {} vm={} name={} status={} op={}{}",
        name(operation.kind),
        name(operation.status),
        vm_.id,
        vm_.name,
        name(vm_.status),
        operation.id,
        outcome.error ? " error=\"" + outcome.error->message() + "\"" : ""
    );
    world_.operations.put(std::move(operation));
    if (ended_ && !domain::busy(vm_.status)) {
        co_await settle();
    }
}

// Ends the machine's existence together with the operation: a delete that is done, or a create that failed.
asio::awaitable<void> Machine::vanish(domain::Operation operation, std::optional<Error> error) {
    fault_point(point(operation.kind, "before-fact"));
    // Before the record goes: what is interrupted here is begun again.
    if (const auto left = co_await world_.mesh.withdraw(vm_.id); !left) {
        spdlog::warn("the machine stays in the mesh vm={} error=\"{}\"", vm_.id, left.error().message());
    }
    operation.status = error ? Progress::failed : Progress::succeeded;
    operation.progress = 100;
    operation.error = std::move(error);
    operation.updated_at = now();
    auto pause = 50ms;
    while (true) {
        ports::Transaction transaction;
        transaction.outlives = ports::Outlives::process;
        transaction.expect.push_back({keys::vm(vm_.id), stored_at_});
        transaction.removes.push_back(keys::vm(vm_.id));
        transaction.removes.push_back(keys::vm_name(vm_.owner, vm_.name));
        transaction.puts.push_back(Operations::record(operation));
        for (const auto& volume : vm_.volumes) {
            // Their data has a life of its own, unless it was to go too.
            if (!operation.with_volumes) {
                transaction.puts.push_back({keys::volume(volume.id), records::write(volume), {}});
            }
        }
        add_answer(transaction, operation, nullptr);
        const auto turn = co_await writing_.take();
        auto stored = co_await world_.store.commit(std::move(transaction));
        if (stored) {
            break;
        }
        spdlog::error(
            "a change cannot be stored, trying again vm={} error=\"{}\"", vm_.id, stored.error().message()
        );
        co_await pause_for(pause);
        pause = std::min(pause * 2, 2000ms);
    }
    fault_point(point(operation.kind, "after-fact"));
    vm_.status = Status::deleted;
    for (const auto& volume : vm_.volumes) {
        if (!operation.with_volumes) {
            world_.volumes.insert_or_assign(volume.id, volume);
        }
    }
    world_.journal.forget(vm_.id);
    put_boot_token("");
    for (const auto& port : vm_.ports) {
        world_.networks->release(port);
    }
    world_.registry.erase(vm_.id);
    spdlog::info(
        "{} {} vm={} name={} op={}{}",
        name(operation.kind),
        name(operation.status),
        vm_.id,
        vm_.name,
        operation.id,
        operation.error ? " error=\"" + operation.error->message() + "\"" : ""
    );
    world_.operations.put(std::move(operation));
}

void Machine::arm_boot_token() {
    boot_token_ = random_text(token_bytes);
    put_boot_token(to_hex(world_.signatures.sha256(boot_token_)));
}

void Machine::put_boot_token(const std::string& hash) {
    world_.boot_tokens.erase(vm_.boot_token_hash);
    vm_.boot_token_hash = hash;
    if (!hash.empty()) {
        world_.boot_tokens[hash] = vm_.id;
    }
}

ports::Events Machine::events() {
    const std::weak_ptr<Machine> weak = weak_from_this();
    return {
        [weak, launch = ++launches_](ports::Ended ended) {
            if (const auto self = weak.lock()) {
                self->on_ended(launch, std::move(ended));
            }
        },
        [weak] {
            if (const auto self = weak.lock()) {
                self->on_reset();
            }
        },
        [weak](std::string why) {
            if (const auto self = weak.lock()) {
                self->on_stalled(std::move(why));
            }
        },
        [weak](std::string_view text) {
            if (const auto self = weak.lock()) {
                self->heard(text);
            }
        },
    };
}

void Machine::on_ended(std::uint64_t of_launch, ports::Ended ended) {
    if (of_launch != launches_) {
        return;
    }
    ended_ = std::move(ended);
    if (!domain::busy(vm_.status)) {
        world_.jobs.spawn(vm_.id + " settle", [](std::shared_ptr<Machine> self) -> asio::awaitable<void> {
            co_await self->settle();
        }(shared_from_this()));
    }
}

void Machine::on_reset() {
    if (vm_.status != Status::running) {
        return;
    }
    spdlog::info("the guest has reset itself vm={} name={}", vm_.id, vm_.name);
    world_.journal.add(vm_.id, "guest-reset", "the guest has reset itself");
    world_.jobs.spawn(vm_.id + " reset", [](std::shared_ptr<Machine> self) -> asio::awaitable<void> {
        ports::Transaction nothing_else;
        Mutation rearm = [](domain::Vm& vm) {
            vm.boot_completed_at.reset();
            vm.status_reason = "the guest has reset itself";
        };
        self->begin_boot();
        (void)co_await self->change(std::move(rearm), std::move(nothing_else));
    }(shared_from_this()));
}

// The process ended by itself while no job held the machine.
asio::awaitable<void> Machine::settle() {
    const auto self = shared_from_this();
    if (!ended_ || domain::busy(vm_.status) || !domain::live(vm_.status)) {
        ended_.reset();
        co_return;
    }
    const auto ended = *std::exchange(ended_, std::nullopt);
    instance_.reset();
    (void)co_await clear(ports::Hypervisor::Remains::logs);
    const bool broke = ended.cause == ports::Ended::Cause::broke;
    const auto to = *domain::next(vm_.status, broke ? Event::broke : Event::stopped);
    // Taken before the store is asked, so that a start that comes now begins from here.
    vm_.status = to;
    ports::Transaction nothing_else;
    Mutation mutate = [to, ended, broke](domain::Vm& vm) {
        if (vm.status == to) {
            vm.status_reason = ended.reason;
        }
        if (!broke && vm.status == to) {
            vm.desired_power = Power::off;
        }
        vm.boot.reset();
    };
    world_.journal.add(vm_.id, "ended", ended.reason);
    co_await record_fact(std::move(mutate), std::move(nothing_else));
    spdlog::log(
        broke ? spdlog::level::warn : spdlog::level::info,
        "the machine has ended vm={} name={} status={} reason=\"{}\"",
        vm_.id,
        vm_.name,
        name(vm_.status),
        ended.reason
    );
}

}  // namespace vmm::app
