#pragma once

#include "vmm/app/ticket.h"
#include "vmm/app/world.h"
#include "vmm/domain/operation.h"
#include "vmm/domain/vm.h"

#include <map>
#include <memory>
#include <optional>
#include <string>

namespace vmm::app {

// A machine's name as its guest's host name.
std::string guest_name(std::string_view name);

// What a PATCH may change.
struct Change {
    std::optional<std::string> name;
    std::optional<std::map<std::string, std::string>> labels;
};

// How a job is to be done.
struct JobOptions {
    std::int64_t timeout_s = 30;
    bool force = false;
    bool with_volumes = false;  // of a remove: the attached volumes too
};

// One machine: the only object that changes its record, holds its process and runs its jobs. Lives from the
// creation, or the service's start, until the machine is deleted. Used on the application's executor.
class Machine : public std::enable_shared_from_this<Machine> {
public:
    // `stored_at` is the store's revision of the record, 0 when it is not stored yet.
    Machine(World& world, domain::Vm vm, std::int64_t stored_at);

    [[nodiscard]] const domain::Vm& vm() const { return vm_; }

    // Stores a new machine together with the operation that makes it, and begins to make it. conflict
    // "name-taken".
    Task<void> create(domain::Operation operation, Ticket ticket);

    // Stores that the job is wanted and begins it; returns the operation's id. conflict when the machine's
    // state or another operation forbids it, precondition_failed.
    Task<std::string> begin(
        domain::Job job,
        JobOptions options,
        domain::Caller caller,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );

    // Stores that a disk is to be attached, detached or grown, with what else belongs to the intent, and
    // begins it; `intend` changes the record with it. Returns the operation's id.
    using Mutation = std::function<void(domain::Vm&)>;
    Task<std::string> reconfigure(
        domain::Operation operation,
        Mutation intend,
        ports::Transaction intent,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );

    // Changes how a disk is used, at once where the machine runs. The cache mode takes effect with the next
    // start.
    Task<void> tune(
        std::string disk,
        domain::DiskTuning tuning,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );

    // Copies the root disk as it is now into a new overlay. Nobody else may change the machine meanwhile:
    // conflict "machine-busy".
    Task<void> copy_root(std::filesystem::path overlay);

    // A job holds the machine, or somebody copies its disk.
    [[nodiscard]] bool held() const;

    Task<void> update(Change change, Ticket ticket, std::optional<std::int64_t> expected_revision);

    // Stores a change of the record alone, with what else belongs to it. conflict "machine-busy" while the
    // machine is made or deleted, precondition_failed.
    Task<void>
    amend(Mutation apply, ports::Transaction transaction, std::optional<std::int64_t> expected_revision);

    // Changes of what networks know of the machine: stored first, then made so where it runs, and taken back
    // when that fails. conflict "machine-busy".
    Task<void>
    set_firewall(domain::Firewall firewall, Ticket ticket, std::optional<std::int64_t> expected_revision);
    Task<void>
    publish(domain::PublishedPort port, Ticket ticket, std::optional<std::int64_t> expected_revision);
    Task<void>
    unpublish(domain::PublishedPort port, Ticket ticket, std::optional<std::int64_t> expected_revision);
    Task<void>
    plug(domain::Interface interface, Ticket ticket, std::optional<std::int64_t> expected_revision);
    Task<void> unplug(std::string interface, Ticket ticket, std::optional<std::int64_t> expected_revision);
    Task<void>
    limit(domain::Interface interface, Ticket ticket, std::optional<std::int64_t> expected_revision);

    // The guest reports that it has booted, by its token or from its own network. unauthenticated when the
    // token was used before.
    Task<void> boot_completed(std::string address, bool from_network);

    // The metadata service was asked for this from one of the machine's addresses.
    void asked_for_metadata(std::string_view address, std::string_view what);

    // Looks how far a booting guest has come; called every so often.
    void look_at_boot();

    // What the guest is told of itself.
    [[nodiscard]] Result<ports::Seed> seed() const;

    // The running machine, or nothing.
    [[nodiscard]] std::shared_ptr<ports::Instance> instance() const { return instance_; }

    // Where the build context is kept until the guest has read it.
    [[nodiscard]] std::filesystem::path context_file() const;

    // What a HEALTHCHECK has found.
    void set_health(std::string health);

    // Finds out what became of the machine while the service was away, takes its process over, and takes up
    // the job that was interrupted, if there was one. To be awaited before the machine takes requests.
    asio::awaitable<void> recover(std::optional<domain::Operation> interrupted);

    // Says that the record is gone and nothing may use this object any more.
    [[nodiscard]] bool removed() const { return vm_.status == domain::Status::deleted; }

private:
    struct Outcome {
        Outcome(domain::Event on, std::string why) : event{on}, reason{std::move(why)} {}

        Outcome(domain::Event on, std::string why, Error wrong)
            : event{on}, reason{std::move(why)}, error{std::move(wrong)} {}

        domain::Event event;
        std::string reason;
        std::optional<Error> error;
    };

    // Storing.
    Task<void> change(Mutation mutate, ports::Transaction transaction);
    asio::awaitable<void> record_fact(Mutation mutate, ports::Transaction transaction);
    asio::awaitable<void> finish(domain::Operation operation, Outcome outcome);
    asio::awaitable<void> vanish(domain::Operation operation, std::optional<Error> error);
    Result<void>
    admit(domain::Job job, const JobOptions& options, std::optional<std::int64_t> expected_revision) const;
    void add_answer(ports::Transaction& transaction, const domain::Operation& operation, const domain::Vm* vm)
        const;
    void arm_boot_token();
    void put_boot_token(const std::string& hash);

    // Jobs.
    void spawn(domain::Operation operation);
    asio::awaitable<void> run(domain::Operation operation);
    Task<void> prepare_disk(domain::Operation operation);
    asio::awaitable<Outcome> start();
    asio::awaitable<Outcome> stop(domain::Operation operation);
    asio::awaitable<bool> gone_when_asked(std::chrono::seconds limit);
    asio::awaitable<Outcome> pause();
    asio::awaitable<Outcome> resume();
    asio::awaitable<void> make(domain::Operation operation);
    asio::awaitable<void> restart(domain::Operation operation);
    asio::awaitable<void> remove(domain::Operation operation);
    [[nodiscard]] ports::DiskPlan disk_plan(const std::string& id, const domain::DiskTuning& tuning) const;
    Task<void> apply_limits(domain::Vm to);
    asio::awaitable<void> change_disks(domain::Operation operation);
    Task<void> attach(domain::Operation operation);
    Task<void> detach(domain::Operation operation);
    Task<void> grow(domain::Operation operation);
    asio::awaitable<void> settle_disks(domain::Operation operation, std::optional<Error> error);
    Task<void> clear(ports::Hypervisor::Remains remains);
    Task<ports::LaunchPlan> plan();
    Task<void> launch();
    Outcome outcome_of_failure(domain::Event otherwise, Error error);

    // Booting.
    [[nodiscard]] std::filesystem::path seed_file() const;
    Task<void> write_seed(ports::LaunchPlan& plan);
    asio::awaitable<void> wipe_seed();
    void begin_boot();
    void advance(domain::Stage stage, std::string saw);
    void show();
    void heard(std::string_view text);
    void look_for_leases();
    [[nodiscard]] bool boots_early() const;
    void look_for_a_timer();
    asio::awaitable<void> wake_timeless();
    void seen_at(const domain::Interface& interface);

    // Networks.
    Task<void> amend_network(Mutation apply, Ticket ticket, std::optional<std::int64_t> expected_revision);
    asio::awaitable<void> take_back(Mutation undo);
    asio::awaitable<void> recover_nics();

    // Events.
    ports::Events events();
    void on_ended(std::uint64_t of_launch, ports::Ended ended);
    void on_reset();
    void on_stalled(std::string why);
    asio::awaitable<void> stall();
    asio::awaitable<void> wait_for_room();
    void await_room();
    [[nodiscard]] std::string no_space() const;
    asio::awaitable<void> settle();

    // Recovery.
    Task<ports::RunState> adopt();
    asio::awaitable<void> recover_steady();
    asio::awaitable<void> recover_job(domain::Operation operation);
    asio::awaitable<void> recover_disks(domain::Operation operation);
    asio::awaitable<void> give_up(domain::Operation operation, std::string why);
    void thaw_again();
    void power_on_again();

    World& world_;
    domain::Vm vm_;
    std::int64_t stored_at_;
    Slots writing_{1};
    std::shared_ptr<ports::Instance> instance_;
    std::optional<ports::Ended> ended_;  // the process' end, not yet made part of the record
    std::string boot_token_;             // of the next start; empty when none is prepared
    std::string invitation_;             // to the mesh, for the next start
    int timeless_looks_ = 0;             // in a row that found the guest without a timer
    std::int64_t next_timer_look_ = 0;   // Unix milliseconds
    std::string console_line_;           // of the guest's console, not yet ended
    std::string lent_to_;                // who copies the root disk
    std::string last_stall_;
    bool waiting_for_room_ = false;
    std::uint64_t launches_ = 0;  // tells the events of the present process from those of earlier ones
};

}  // namespace vmm::app
