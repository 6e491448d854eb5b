#include "vmm/app/machine.h"
#include "vmm/app/networks.h"
#include "vmm/base/fault.h"
#include "vmm/base/text.h"

#include <spdlog/spdlog.h>

#include <algorithm>

// A guest's way from its start to its report, and what it is told of itself.
namespace vmm::app {
namespace {

using domain::Stage;
using domain::Status;

constexpr std::size_t longest_line = 200;
// A guest that has not come further after this time is looked at more closely, as often as this.
constexpr std::int64_t timer_grace_ms = 8000;
constexpr std::int64_t timer_look_ms = 2000;
constexpr int looks_to_be_sure = 3;

// The stage that a line of a guest's console gives away.
std::optional<Stage> stage_in(std::string_view line) {
    for (const std::string_view word : {"Cloud-init v.", "cloud-init["}) {
        if (line.contains(word)) {
            return Stage::cloud_init;
        }
    }
    for (const std::string_view word :
         {"Linux version", "Run /init", "systemd[1]", "Welcome to ", "BOOTED "}) {
        if (line.contains(word)) {
            return Stage::kernel;
        }
    }
    return std::nullopt;
}

// A line of the console for people: no control characters, not too long.
std::string plain(std::string_view line) {
    std::string out;
    for (const char c : line) {
        if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f && out.size() < longest_line) {
            out += c;
        }
    }
    return std::string{trim(out)};
}

}  // namespace

std::string guest_name(std::string_view name) {
    auto out = lower(name);
    std::ranges::replace_if(out, [](char c) { return c == '.' || c == '_'; }, '-');
    return out;
}

std::filesystem::path Machine::seed_file() const {
    return world_.settings.vm_dir / vm_.id / "seed.iso";
}

std::filesystem::path Machine::context_file() const {
    return world_.settings.vm_dir / vm_.id / "context.tar";
}

Result<ports::Seed> Machine::seed() const {
    ports::Seed out;
    out.instance_id = vm_.id;
    out.hostname = guest_name(vm_.name);
    out.ssh_keys = vm_.ssh_keys;
    out.user_data = vm_.user_data;
    if (!vm_.formfile.empty()) {
        TRY(out.formfile, world_.seeds.read_formfile(vm_.formfile));
    }
    for (const auto& interface : vm_.interfaces) {
        ports::SeedInterface one;
        one.interface = interface;
        if (const auto network = world_.networks->show(interface.network)) {
            one.network = network->network;
        }
        out.interfaces.push_back(std::move(one));
    }
    out.invitation = invitation_;
    std::error_code failed;
    if (std::filesystem::exists(context_file(), failed)) {
        out.context = context_file();
    }
    return out;
}

// The medium of this start, for a guest that reads one.
Task<void> Machine::write_seed(ports::LaunchPlan& plan) {
    CO_TRY(invitation_, co_await world_.mesh.invite(vm_.id));
    CO_TRY(auto what, seed());
    const bool reads = plan.kernel.empty() || what.formfile.builds() || !what.user_data.empty() ||
                       !what.ssh_keys.empty() || !what.invitation.empty();
    if (!reads) {
        co_return Result<void>{};
    }
    const bool routed = world_.networks->routed(vm_);
    const bool closed = world_.settings.close_user_networks && !routed;
    what.callback_url = routed ? plan.callback_url : closed ? "" : world_.settings.callback_url;
    what.token = boot_token_;
    std::error_code failed;
    std::filesystem::create_directories(seed_file().parent_path(), failed);
    std::filesystem::permissions(seed_file().parent_path(), std::filesystem::perms::owner_all, failed);
    CO_CHECK(world_.seeds.write(what, seed_file()));
    fault_point("start.seeded");
    plan.seed = seed_file();
    co_return Result<void>{};
}

// The guest has read its seed: what is secret in it goes.
asio::awaitable<void> Machine::wipe_seed() {
    const auto self = shared_from_this();
    std::error_code failed;
    if (!std::filesystem::exists(seed_file(), failed)) {
        co_return;
    }
    if (instance_) {
        if (const auto ejected = co_await instance_->eject_seed(); !ejected) {
            spdlog::warn(
                "the seed stays in the machine vm={} error=\"{}\"", vm_.id, ejected.error().message()
            );
        }
    }
    std::filesystem::remove(seed_file(), failed);
    std::filesystem::remove(context_file(), failed);
}

void Machine::begin_boot() {
    domain::Boot boot;
    boot.started = boot.since = now();
    boot.saw = "QEMU runs the machine";
    vm_.boot = boot;
    console_line_.clear();
}

void Machine::advance(Stage stage, std::string saw) {
    if (!vm_.boot || stage <= vm_.boot->stage) {
        return;
    }
    vm_.boot->stage = stage;
    vm_.boot->since = now();
    vm_.boot->saw = saw;
    world_.journal.add(vm_.id, "boot-" + std::string{name(stage)}, std::move(saw));
    show();
}

// What readers see beside the record, under the record's revision.
void Machine::show() {
    if (stored_at_ != 0 && vm_.status != Status::deleted && !domain::busy(vm_.status)) {
        world_.registry.put(vm_);
    }
}

void Machine::heard(std::string_view text) {
    if (!vm_.boot || vm_.boot->stage == Stage::ready) {
        return;
    }
    console_line_.append(text.substr(0, 4096));
    while (true) {
        const auto end = console_line_.find('\n');
        const auto line = std::string_view{console_line_}.substr(0, end);
        if (auto shown = plain(line); !shown.empty()) {
            vm_.boot->last_line = std::move(shown);
        }
        const auto stage = stage_in(line);
        if (stage) {
            advance(*stage, "the console said: " + vm_.boot->last_line);
        }
        if (end == std::string::npos) {
            break;
        }
        console_line_.erase(0, end + 1);
    }
    if (console_line_.size() > 4096) {
        console_line_.erase(0, console_line_.size() - longest_line);
    }
    advance(Stage::firmware, "the console said something");
}

// Looks for what nobody tells: leases, and that time is over.
void Machine::look_at_boot() {
    if (!vm_.boot || vm_.boot->stage == Stage::ready || domain::busy(vm_.status)) {
        return;
    }
    look_for_leases();
    look_for_a_timer();
    const auto limit = world_.settings.vm_boot_timeout;
    const bool late = now().ms - vm_.boot->started.ms > limit.count() * 1000;
    if (late && !vm_.boot->overdue && vm_.status == Status::running) {
        vm_.boot->overdue = true;
        world_.journal.add(
            vm_.id,
            "boot-timeout",
            "the guest has not reported within " + std::to_string(limit.count()) + " s; it waits for " +
                std::string{domain::awaited(vm_.boot->stage)}
        );
        show();
    }
}

// Whether its guest is on its way to what shows that it has a timer.
bool Machine::boots_early() const {
    return instance_ && vm_.status == Status::running && vm_.boot && vm_.boot->stage < Stage::network &&
           !vm_.boot->overdue;
}

// A guest without a timer never goes on by itself; its next boot will find one.
void Machine::look_for_a_timer() {
    const auto at = now().ms;
    if (!boots_early() || at - vm_.boot->started.ms < timer_grace_ms) {
        timeless_looks_ = 0;
        return;
    }
    if (at < next_timer_look_) {
        return;
    }
    next_timer_look_ = at + timer_look_ms;
    world_.jobs.spawn(
        vm_.id + " look for a timer",
        [](std::shared_ptr<Machine> self) -> asio::awaitable<void> {
            co_await self->wake_timeless();
        }(shared_from_this())
    );
}

asio::awaitable<void> Machine::wake_timeless() {
    const auto instance = instance_;
    if (!instance) {
        co_return;  // ended since
    }
    const auto timeless = co_await instance->timeless();
    if (!timeless || !*timeless || instance != instance_ || !boots_early()) {
        timeless_looks_ = 0;
        co_return;
    }
    if (++timeless_looks_ < looks_to_be_sure) {
        co_return;
    }
    timeless_looks_ = 0;
    world_.journal.add(
        vm_.id, "guest-timeless", "the guest's kernel found no timer, as happens on a busy host; it is reset"
    );
    spdlog::warn("the guest's kernel found no timer; resetting it vm={} name={}", vm_.id, vm_.name);
    if (co_await instance->reset()) {
        begin_boot();
        show();
    }
}

void Machine::look_for_leases() {
    for (const auto& interface : vm_.interfaces) {
        if (!interface.ip4 || !world_.networks->routed(interface)) {
            continue;
        }
        const auto address = domain::text(*interface.ip4);
        if (std::ranges::find(vm_.addresses, address) != vm_.addresses.end()) {
            continue;
        }
        const auto leased = world_.networks->leased_at(interface);
        if (leased && leased->ms + 1000 >= vm_.boot->started.ms) {
            seen_at(interface);
            advance(Stage::network, "the guest has taken the address " + address);
        }
    }
}

// The guest has spoken from this interface's addresses: they are its own, as nothing else passes.
void Machine::seen_at(const domain::Interface& interface) {
    for (const auto& address :
         {interface.ip4 ? domain::text(*interface.ip4) : "", interface.ip6 ? domain::text(*interface.ip6) : ""
         }) {
        if (!address.empty() && std::ranges::find(vm_.addresses, address) == vm_.addresses.end()) {
            vm_.addresses.push_back(address);
        }
    }
    show();
}

// The metadata service was asked from this address.
void Machine::asked_for_metadata(std::string_view address, std::string_view what) {
    if (!vm_.boot) {
        return;
    }
    for (const auto& interface : vm_.interfaces) {
        if (interface.ip4 && domain::text(*interface.ip4) == address) {
            seen_at(interface);
        }
    }
    advance(Stage::cloud_init, "the guest asked for " + std::string{what});
}

Task<void> Machine::boot_completed(std::string address, bool from_network) {
    const bool mesh = !world_.settings.formnet_endpoint.empty();
    if (vm_.boot_completed_at && !from_network) {
        co_return fail(
            Error{Code::unauthenticated, "this start has been reported before"}.with_slug("bad-boot-token")
        );
    }
    if (mesh && !address.empty()) {
        // It has joined: whoever else asks in the guest need not see the key.
        invitation_.clear();
    }
    if (vm_.boot_completed_at) {
        // By its address it may say so again: after a reset of its own, or once it is in the mesh.
        if (!mesh || address.empty() || address == vm_.formnet_ip) {
            co_return Result<void>{};
        }
        ports::Transaction alone;
        Mutation join = [address](domain::Vm& vm) { vm.formnet_ip = address; };
        co_return co_await change(std::move(join), std::move(alone));
    }
    const auto at = now();
    ports::Transaction nothing_else;
    Mutation report = [at, address, mesh](domain::Vm& vm) {
        vm.boot_completed_at = at;
        std::vector<std::string> own;
        for (const auto& interface : vm.interfaces) {
            if (interface.ip4) {
                own.push_back(domain::text(*interface.ip4));
            }
            if (interface.ip4 && interface.ip6) {
                own.push_back(domain::text(*interface.ip6));
            }
        }
        if (!own.empty()) {
            vm.addresses = own;
        } else if (!address.empty()) {
            vm.addresses = std::vector<std::string>(1, address);
        }
        if (mesh && !address.empty()) {
            vm.formnet_ip = address;
        }
    };
    if (vm_.boot) {
        vm_.boot->stage = Stage::ready;
        vm_.boot->since = at;
        vm_.boot->saw = "the guest has reported";
    }
    CO_CHECK(co_await change(std::move(report), std::move(nothing_else)));
    world_.journal.add(vm_.id, "boot-ready", "the guest has reported that it has booted");
    fault_point("boot.reported");
    world_.jobs.spawn(vm_.id + " wipe the seed", [](std::shared_ptr<Machine> self) -> asio::awaitable<void> {
        co_await self->wipe_seed();
    }(shared_from_this()));
    spdlog::info("the guest has booted vm={} name={} address={}", vm_.id, vm_.name, address);
    co_return Result<void>{};
}

void Machine::set_health(std::string health) {
    if (health != vm_.health) {
        world_.journal.add(vm_.id, "health", health);
        vm_.health = std::move(health);
        show();
    }
}

}  // namespace vmm::app
