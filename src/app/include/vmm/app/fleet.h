#pragma once

#include "vmm/app/begun.h"
#include "vmm/app/machine.h"
#include "vmm/app/networks.h"
#include "vmm/app/world.h"
#include "vmm/domain/access.h"

#include <map>
#include <memory>
#include <optional>
#include <string>

namespace vmm::app {

// A machine as a developer orders it. What is not given comes from the Formfile, the image, or the
// configuration.
struct CreateVm {
    std::string name;
    std::string formfile;
    std::string image;
    std::optional<std::uint32_t> vcpus;
    std::optional<std::uint32_t> memory_mib;
    std::optional<std::uint32_t> disk_gib;
    std::map<std::string, std::string> labels;
    std::string team;                   // that owns it; empty: the caller does
    std::vector<domain::GpuWish> gpus;  // with those of the Formfile
    std::vector<std::string> ssh_keys;
    std::string user_data;
    std::string context;                                 // a tar archive that the Formfile's COPY takes from
    std::optional<std::vector<InterfaceWish>> networks;  // none given: the default network
    bool start = true;
};

struct CloneVm {
    std::string name;
    std::map<std::string, std::string> labels;
    std::string team;  // that owns it; empty: the caller does
    bool start = false;
};

// A receiver's word, given beforehand, that they take a machine over; see domain::acceptance_text().
struct Acceptance {
    std::int64_t until = 0;  // Unix seconds
    ports::Signature signature;
};

struct TransferVm {
    domain::Owner to;
    bool keep_collaborators = false;
    std::optional<Acceptance> acceptance;  // then it is theirs at once
};

struct AttachDisk {
    std::string volume;          // of an existing one, or empty
    std::string name;            // of a new one
    std::uint32_t size_gib = 0;  // of a new one
    domain::DiskTuning tuning;
};

// What a guest says when it has booted.
struct BootReport {
    std::string name;
    std::string build_id;
    std::string address;
    std::string token;
    std::string source;  // the guest's address, of a report to the metadata service
};

// invalid with the field: each is one line "TYPE KEY COMMENT".
Result<void> check_ssh_keys(std::string_view field, const std::vector<std::string>& keys);

// All machines of this node, and what callers may do with them. Used on the application's executor. A machine
// that the caller may not see does not exist for them: not_found.
class Fleet {
public:
    Fleet(World& world, Accounts& accounts, Teams& teams);

    // Reads the machines from the store, finds out what became of each, and removes from the host what
    // belongs to none.
    Task<void> load();

    Task<Begun> create(domain::Caller caller, CreateVm wanted, Ticket ticket);

    Task<Begun> begin(
        domain::Caller caller,
        std::string id,
        domain::Job job,
        JobOptions options,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );

    Task<VmView> update(
        domain::Caller caller,
        std::string id,
        Change change,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );

    // A new machine whose root disk is a copy of this one's as it is now.
    Task<Begun> clone(domain::Caller caller, std::string id, CloneVm wanted, Ticket ticket);

    // A new volume, or one that is attached to no machine, for this machine.
    Task<Begun> attach(
        domain::Caller caller,
        std::string id,
        AttachDisk wanted,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );
    Task<Begun> detach(
        domain::Caller caller,
        std::string id,
        std::string disk,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );
    // Makes "root" or a volume larger, while the machine runs where it does.
    Task<Begun> grow(
        domain::Caller caller,
        std::string id,
        std::string disk,
        std::uint32_t size_gib,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );
    Task<void> tune(
        domain::Caller caller,
        std::string id,
        std::string disk,
        domain::DiskTuning tuning,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );

    // Rules of a machine's own.
    Task<void> set_firewall(
        domain::Caller caller,
        std::string id,
        domain::Firewall firewall,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );

    // A port of the host that leads to the machine. conflict "port-taken".
    Task<void> publish_port(
        domain::Caller caller,
        std::string id,
        domain::PublishedPort port,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );
    Task<void> unpublish_port(
        domain::Caller caller,
        std::string id,
        domain::PublishedPort port,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );

    // One interface more or less, at once where the machine runs.
    Task<domain::Interface> plug(
        domain::Caller caller,
        std::string id,
        InterfaceWish wish,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );
    Task<void> unplug(
        domain::Caller caller,
        std::string id,
        std::string interface,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );
    // Bandwidth, in megabits a second; 0: no limit.
    Task<domain::Interface> limit_interface(
        domain::Caller caller,
        std::string id,
        std::string interface,
        std::optional<std::uint32_t> up_mbps,
        std::optional<std::uint32_t> down_mbps,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );

    // Volumes that are attached to no machine.
    Task<std::vector<domain::Volume>> volumes(domain::Caller caller);
    Task<void> remove_volume(domain::Caller caller, std::string id, Ticket ticket);

    // Gives an address a role on a machine, or changes it. invalid "expires_at", conflict
    // "too-many-collaborators".
    Task<domain::Grant> share(
        domain::Caller caller,
        std::string id,
        domain::Grant grant,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );
    // Ends a role. Collaborators may end their own.
    Task<void> unshare(
        domain::Caller caller,
        std::string id,
        domain::Address address,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );

    // Offers a machine to another owner, or gives it away at once when they have accepted beforehand.
    Task<VmView> transfer(
        domain::Caller caller,
        std::string id,
        TransferVm wanted,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );
    // Takes over what was offered, under another name when one is given. conflict "name-taken",
    // "quota-exceeded".
    Task<VmView> accept(domain::Caller caller, std::string id, std::string name, Ticket ticket);
    // Takes an offer back, or declines it.
    Task<void> withdraw(domain::Caller caller, std::string id, Ticket ticket);

    // Proved by its one-time token alone; unauthenticated for anything else.
    Task<VmView> boot_complete(BootReport report);

    // The answer of an operation that has ended: with an Idempotency-Key the one that every repetition gets.
    Task<Answer> answer(domain::Operation operation);

    // For the application's other parts. not_found, forbidden.
    Result<std::shared_ptr<Machine>> present(const std::string& id) const;
    Result<std::shared_ptr<Machine>>
    find(const domain::Caller& caller, domain::Action action, const std::string& id) const;
    [[nodiscard]] std::vector<std::shared_ptr<Machine>> all() const;

private:
    Result<domain::Vm>
    shaped(const domain::Caller& caller, const domain::Caller* for_image, const CreateVm& wanted) const;
    [[nodiscard]] Result<void> check_owner(const domain::Caller& caller, const domain::Vm& vm) const;
    Result<void> check_guest(const CreateVm& wanted, const domain::Formfile& formfile) const;
    Result<std::vector<domain::Gpu>> gpus_for(const CreateVm& wanted, const domain::Formfile& formfile) const;
    Result<std::vector<domain::PublishedPort>> exposed(const domain::Vm& vm, const domain::Formfile& formfile)
        const;
    Result<void> keep_context(const Machine& machine, const std::string& context) const;
    void forget_making(const Machine& machine) const;
    Result<void> check_publish(const domain::Vm& vm, const domain::PublishedPort& port) const;
    [[nodiscard]] Result<void> check_disk_quota(const domain::Owner& owner, std::uint64_t wanted) const;
    [[nodiscard]] bool sees_volume(const domain::Caller& caller, const domain::Volume& volume) const;
    Result<void> check_receiver(const domain::Vm& vm, const TransferVm& wanted) const;
    Task<void> hand_over(
        std::shared_ptr<Machine> machine,
        TransferVm wanted,
        std::string name,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );
    Task<void> forget_grants(domain::Address address);
    Task<void> read_machines();
    Task<void> read_volumes();
    Task<Begun> begin_making(std::shared_ptr<Machine> machine, domain::Operation operation, Ticket ticket);
    Task<Begun> begin_change(
        std::shared_ptr<Machine> machine,
        domain::Operation operation,
        Machine::Mutation intend,
        ports::Transaction intent,
        Ticket ticket,
        std::optional<std::int64_t> expected_revision
    );
    Task<void> copy_root(std::string vm, std::filesystem::path overlay);
    asio::awaitable<void> sweep();
    void forget_removed();
    [[nodiscard]] std::uint64_t memory_given(const std::string& but) const;

    World& world_;
    const Accounts& accounts_;
    const Teams& teams_;
    std::map<std::string, std::shared_ptr<Machine>> machines_;
};

// What a job needs of the caller.
domain::Action action_of(domain::Job job);

}  // namespace vmm::app
