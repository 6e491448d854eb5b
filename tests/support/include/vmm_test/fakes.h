#pragma once

#include "vmm/ports/disks.h"
#include "vmm/ports/host.h"
#include "vmm/ports/hypervisor.h"
#include "vmm/ports/images.h"
#include "vmm/ports/network.h"
#include "vmm/ports/state_store.h"

#include <map>
#include <set>
#include <string>

// Hand-written stand-ins for the ports, without any world behind them.
namespace vmm::test {

// A StateStore in memory. Refuses everything while `broken`.
class MemoryStore final : public ports::StateStore {
public:
    bool broken = false;
    int commits = 0;
    std::map<std::string, ports::Record> records;

    Task<std::int64_t> commit(ports::Transaction transaction) override {
        if (broken) {
            co_return fail(Error{Code::unavailable, "the store is broken"}.with_slug("no-space"));
        }
        for (const auto& [key, expected] : transaction.expect) {
            const auto found = records.find(key);
            if ((found == records.end() ? 0 : found->second.revision) != expected) {
                co_return fail(Error{Code::conflict, "changed"}.with_slug("store-conflict").with_field(key));
            }
        }
        ++revision_;
        ++commits;
        for (auto& put : transaction.puts) {
            records[put.key] = ports::Record{put.key, put.value, revision_, put.expires_at};
        }
        for (const auto& key : transaction.removes) {
            records.erase(key);
        }
        co_return revision_;
    }

    Task<ports::Record> get(std::string key) override {
        const auto found = records.find(key);
        if (found == records.end() || expired(found->second, now())) {
            co_return fail(Code::not_found, "no such record");
        }
        co_return found->second;
    }

    Task<std::vector<ports::Record>> list(std::string prefix, std::string after, std::size_t limit) override {
        std::vector<ports::Record> out;
        for (const auto& [key, record] : records) {
            if (key.starts_with(prefix) && key > after && !expired(record, now()) && out.size() < limit) {
                out.push_back(record);
            }
        }
        co_return out;
    }

    Task<std::int64_t> drop_expired(Timestamp at) override {
        co_return static_cast<std::int64_t>(std::erase_if(records, [at](const auto& entry) {
            return expired(entry.second, at);
        }));
    }

    Task<void> check() override {
        if (broken) {
            co_return fail(Code::unavailable, "the store is broken");
        }
        co_return Result<void>{};
    }

private:
    static bool expired(const ports::Record& record, Timestamp at) {
        return record.expires_at && *record.expires_at <= at;
    }

    std::int64_t revision_ = 0;
};

// Machines that exist only by name.
// A guest without an agent.
class FakeAgent final : public ports::GuestAgent {
public:
    Task<void> ping(std::chrono::milliseconds) override { co_return none(); }

    Task<ports::GuestFacts> facts() override { co_return none(); }

    Task<std::int64_t> exec(std::vector<std::string>) override { co_return none(); }

    Task<ports::GuestExit> exec_status(std::int64_t) override { co_return none(); }

    Task<std::int64_t> open(std::string, std::string) override { co_return none(); }

    Task<std::string> read(std::int64_t, std::size_t) override { co_return none(); }

    Task<void> write(std::int64_t, std::string) override { co_return none(); }

    Task<void> close(std::int64_t) override { co_return none(); }

    Task<void> freeze() override { co_return none(); }

    Task<void> thaw() override { co_return none(); }

    [[nodiscard]] bool frozen() const override { return false; }

    Task<void> add_ssh_keys(std::string, std::vector<std::string>) override { co_return none(); }

    Task<void> shut_down() override { co_return none(); }

private:
    static std::unexpected<Error> none() {
        return fail(Error{Code::unavailable, "no agent"}.with_slug("no-agent"));
    }
};

class FakeHypervisor final : public ports::Hypervisor {
public:
    struct Machine {
        ports::RunState state = ports::RunState::paused;
        ports::Events events;
        bool gone = false;
        std::set<std::string> disks;
        std::set<std::string> nics;
    };

    std::map<std::string, std::shared_ptr<Machine>> machines;
    std::set<std::string> folders;
    bool refuses = false;
    bool timeless = false;
    int resets = 0;
    bool deaf = false;  // guests do not hear the power button

    Task<std::shared_ptr<ports::Instance>> launch(ports::LaunchPlan plan, ports::Events events) override {
        if (refuses) {
            co_return fail(Error{Code::unavailable, "qemu said no"}.with_slug("qemu-failed"));
        }
        folders.insert(plan.id);
        auto machine = std::make_shared<Machine>();
        machine->events = std::move(events);
        machines[plan.id] = machine;
        last_plan = plan;
        co_return std::make_shared<FakeInstance>(*this, plan.id, machine);
    }

    Task<std::shared_ptr<ports::Instance>> adopt(std::string id, ports::Events events) override {
        const auto found = machines.find(id);
        if (found == machines.end()) {
            co_return fail(Code::not_found, "no process runs this machine");
        }
        found->second->events = std::move(events);
        co_return std::make_shared<FakeInstance>(*this, id, found->second);
    }

    Task<std::vector<std::string>> found() override {
        co_return std::vector<std::string>(folders.begin(), folders.end());
    }

    Task<void> clear(std::string id, Remains remains) override {
        machines.erase(id);
        if (remains == Remains::nothing) {
            folders.erase(id);
        }
        co_return Result<void>{};
    }

    Task<ports::HypervisorFacts> facts() override {
        ports::HypervisorFacts facts;
        facts.accelerator = "tcg";
        co_return facts;
    }

    // The process ends by itself.
    void end(const std::string& id, ports::Ended::Cause cause, const std::string& reason) {
        const auto machine = machines.at(id);
        machine->gone = true;
        machines.erase(id);
        machine->events.ended({cause, reason});
    }

    ports::LaunchPlan last_plan;

private:
    class FakeInstance final : public ports::Instance {
    public:
        FakeInstance(FakeHypervisor& owner, std::string id, std::shared_ptr<Machine> machine)
            : owner_{owner}, id_{std::move(id)}, machine_{std::move(machine)} {}

        Task<void> resume() override { return become(ports::RunState::running); }

        Task<void> pause() override { return become(ports::RunState::paused); }

        Task<void> press_power_button() override {
            if (!owner_.deaf) {
                machine_->gone = true;
            }
            co_return Result<void>{};
        }

        Task<ports::RunState> state() override { co_return machine_->state; }

        Task<bool> timeless() override { co_return owner_.timeless; }

        Task<void> reset() override {
            ++owner_.resets;
            co_return Result<void>{};
        }

        Task<void> attach(ports::DiskPlan disk) override {
            machine_->disks.insert(disk.id);
            co_return Result<void>{};
        }

        Task<void> detach(std::string disk) override {
            machine_->disks.erase(disk);
            co_return Result<void>{};
        }

        Task<bool> has_nic(std::string nic) override { co_return machine_->nics.contains(nic); }

        Task<void> plug(ports::NicPlan nic) override {
            machine_->nics.insert(nic.id);
            co_return Result<void>{};
        }

        Task<void> unplug(std::string nic) override {
            machine_->nics.erase(nic);
            co_return Result<void>{};
        }

        Task<void> publish(std::string, domain::PublishedPort) override { co_return Result<void>{}; }

        Task<void> unpublish(std::string, domain::PublishedPort) override { co_return Result<void>{}; }

        Task<void> eject_seed() override { co_return Result<void>{}; }

        std::shared_ptr<ports::GuestAgent> agent() override { return std::make_shared<FakeAgent>(); }

        Task<void> resize(std::string, std::uint64_t) override { co_return Result<void>{}; }

        Task<void> limit(std::string, std::uint32_t, std::uint32_t) override { co_return Result<void>{}; }

        Task<void> copy_root(std::filesystem::path, std::function<Task<void>()>) override {
            co_return Result<void>{};
        }

        asio::awaitable<bool> gone_within(std::chrono::milliseconds) override { co_return machine_->gone; }

        Task<void> end() override {
            machine_->gone = true;
            owner_.machines.erase(id_);
            co_return Result<void>{};
        }

        [[nodiscard]] int pid() const override { return 1; }

    private:
        Task<void> become(ports::RunState state) {
            if (machine_->gone) {
                co_return fail(Code::unavailable, "the monitor is gone");
            }
            machine_->state = state;
            co_return Result<void>{};
        }

        FakeHypervisor& owner_;
        std::string id_;
        std::shared_ptr<Machine> machine_;
    };
};

// Networks that exist as soon as they are wanted.
class FakeNetwork final : public ports::HostNetwork {
public:
    std::shared_ptr<const ports::Layout> layout = std::make_shared<ports::Layout>();
    std::set<std::uint16_t> taken;  // host ports of others

    Task<void> apply(std::shared_ptr<const ports::Layout> wanted) override {
        layout = std::move(wanted);
        co_return Result<void>{};
    }

    Task<void> check(domain::Network) override { co_return Result<void>{}; }

    Task<std::shared_ptr<Fd>> plug(std::string, std::string) override { co_return std::make_shared<Fd>(); }

    void lead_metadata_to(std::uint16_t) override {}

    Result<void> reserve(const domain::PublishedPort& port) override {
        return taken.contains(port.host_port)
                   ? fail(Error{Code::conflict, "the port is in use"}.with_slug("port-taken"))
                   : Result<void>{};
    }

    void release(const domain::PublishedPort&) override {}

    std::vector<ports::Lease> leases(const std::string&) override { return {}; }

    std::map<std::string, std::string> problems() override { return {}; }

    bool has_interface(const std::string&) override { return true; }
};

class FakeDisks final : public ports::DiskStore {
public:
    std::set<std::string> made;
    bool full = false;

    [[nodiscard]] std::filesystem::path path(const std::string& id) const override { return "/disks/" + id; }

    Result<std::filesystem::path> make_root(const std::string& vm, const ports::Image&, std::uint32_t)
        override {
        if (full) {
            return fail(Error{Code::unavailable, "no space left"}.with_slug("no-space"));
        }
        made.insert(vm);
        return path(vm);
    }

    Result<void> make_overlay(const std::filesystem::path&, const ports::Image&, std::uint32_t) override {
        return {};
    }

    Result<std::filesystem::path> make_volume(const std::string& volume, std::uint32_t) override {
        if (full) {
            return fail(Error{Code::unavailable, "no space left"}.with_slug("no-space"));
        }
        made.insert(volume);
        return path(volume);
    }

    Task<void> grow(std::string, std::uint32_t) override { co_return Result<void>{}; }

    Task<void> copy(std::filesystem::path, std::filesystem::path to) override {
        made.insert(to.filename().string());
        co_return Result<void>{};
    }

    Result<void> remove(const std::string& id) override {
        made.erase(id);
        return {};
    }

    Result<std::vector<std::string>> all() override {
        return std::vector<std::string>(made.begin(), made.end());
    }

    [[nodiscard]] std::filesystem::path backing(const std::string&) const override { return {}; }

    [[nodiscard]] std::uint64_t real_bytes(const std::string& id) const override {
        return made.contains(id) ? 1 << 20 : 0;
    }

    std::uint64_t available_mib() override { return 100000; }
};

// A store with one image in its folder, "tiny".
class FakeImages final : public ports::ImageStore {
public:
    std::vector<ports::Dropped> dropped() override { return {*find_dropped("tiny")}; }

    std::optional<ports::Dropped> find_dropped(const std::string& name) override {
        if (name != "tiny") {
            return std::nullopt;
        }
        ports::Dropped image;
        image.name = name;
        image.status = domain::ImageStatus::ready;
        image.content.boots.name = name;
        image.content.boots.kernel = "/images/tiny/vmlinux";
        image.content.boots.memory_mib = 128;
        return image;
    }

    Result<void> remove_dropped(const std::string&) override { return {}; }

    Task<std::shared_ptr<ports::Incoming>> receive(std::string) override { co_return nothing(); }

    Task<std::string> download(std::string, ports::Remote, std::uint64_t, ProgressView) override {
        co_return nothing();
    }

    Task<std::string> copy_in(std::string, std::filesystem::path, std::uint64_t, ProgressView) override {
        co_return nothing();
    }

    Result<std::filesystem::path> place_for_disk(std::string) override { return nothing(); }

    Task<void> flatten(std::string, ports::Image, domain::Image, std::uint64_t, ProgressView) override {
        co_return nothing();
    }

    Task<ports::Content> admit(std::string, std::string, std::uint64_t, ProgressView) override {
        co_return nothing();
    }

    Task<void> discard(std::string) override { co_return Result<void>{}; }

    [[nodiscard]] std::optional<ports::Content> content(const std::string&) const override {
        return std::nullopt;
    }

    [[nodiscard]] std::optional<ports::Content> content_by_sha256(const std::string&) const override {
        return std::nullopt;
    }

    [[nodiscard]] std::filesystem::path file_of(const ports::Content&) const override { return {}; }

    Task<void> remove_content(std::string) override { co_return Result<void>{}; }

    std::vector<std::string> incoming() override { return {}; }

    std::vector<std::string> contents() override { return {}; }

    std::uint64_t available_mib() override { return 100000; }

private:
    static std::unexpected<Error> nothing() { return fail(Code::unavailable, "nothing comes in here"); }
};

class FakeHost final : public ports::Host {
public:
    std::string boot = "boot-1";
    domain::HostCapacity size{4, 16384, 8192, 100000};

    [[nodiscard]] domain::HostCapacity capacity() const override { return size; }

    [[nodiscard]] std::string boot_id() const override { return boot; }

    std::vector<domain::HostGpu> cards;

    [[nodiscard]] std::vector<domain::HostGpu> gpus() const override { return cards; }

    [[nodiscard]] Result<std::uint64_t> check_folder(const std::filesystem::path&) const override {
        return 100000;
    }
};

}  // namespace vmm::test
