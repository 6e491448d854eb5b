#include "vmm/qemu/hypervisor.h"

#include "vmm/base/fault.h"
#include "vmm/base/ids.h"
#include "vmm/base/text.h"

#include <spdlog/spdlog.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <set>

#include "accelerator.h"
#include "argv.h"
#include "instance.h"
#include "machine_process.h"
#include "socket_path.h"

namespace vmm::qemu {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr auto launch_limit = 60s;
// Long, since a machine that is only slow to answer, on a host that is busy, must not be ended for it.
constexpr auto adopt_limit = 30s;
constexpr auto end_limit = 10s;

Result<Fd> listen_at(const fs::path& path) {
    const SocketPath name{path};
    const auto address = name.address();
    Fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    ::unlink(path.c_str());
    if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(fd.get(), 4) != 0) {
        return fail(os_error("making a machine's socket"));
    }
    return fd;
}

// Whether a process, whatever it is by now, holds the listening end.
bool somebody_listens(const fs::path& path) {
    const SocketPath name{path};
    const auto address = name.address();
    const Fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    // EAGAIN: it is there, and does not answer.
    return fd && (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
                  errno == EAGAIN);
}

class Qemu final : public ports::Hypervisor {
public:
    Qemu(asio::any_io_executor executor, Settings settings)
        : executor_{std::move(executor)}, settings_{std::move(settings)} {}

    Task<std::shared_ptr<ports::Instance>> launch(ports::LaunchPlan plan, ports::Events events) override {
        CO_CHECK(co_await clear(plan.id, Remains::logs));
        const auto id = plan.id;
        auto instance = co_await start(std::move(plan), std::move(events));
        if (!instance) {
            (void)co_await clear(id, Remains::logs);
            co_return std::unexpected{std::move(instance).error()};
        }
        co_return std::shared_ptr<ports::Instance>{*std::move(instance)};
    }

    Task<std::shared_ptr<ports::Instance>> adopt(std::string id, ports::Events events) override {
        auto process = find(id);
        if (!process) {
            co_return fail(Code::not_found, "no process runs this machine");
        }
        auto instance = std::make_shared<QemuInstance>(
            executor_, *std::move(process), folder(id), std::move(events), false
        );
        CO_CHECK(co_await instance->connect(adopt_limit, settings_.console_log_bytes));
        CO_CHECK(co_await instance->verify(uuid_of(id)));
        co_return std::shared_ptr<ports::Instance>{std::move(instance)};
    }

    Task<std::vector<std::string>> found() override {
        processes_ = find_processes();
        std::vector<std::string> ids;
        std::error_code failed;
        for (const auto& entry : fs::directory_iterator{settings_.run_dir, failed}) {
            const auto name = entry.path().filename().string();
            if (is_id("vm", name)) {
                ids.push_back(name);
            }
        }
        co_return ids;
    }

    Task<void> clear(std::string id, Remains remains) override {
        const auto where = folder(id);
        std::error_code ignored;
        const bool had_sockets = fs::exists(where / "qmp.sock", ignored);
        if (had_sockets || processes_.contains(id)) {
            if (had_sockets && !processes_.contains(id)) {
                processes_ = find_processes();
            }
            CO_CHECK(co_await end_process(id));
        }
        if (had_sockets) {
            CO_CHECK(co_await end_nameless(id));
        }
        for (const auto* name :
             {"qmp.sock", "serial.sock", "console.sock", "agent.sock", "frozen", "boot.cfg"}) {
            fs::remove(where / name, ignored);
        }
        if (remains == Remains::nothing) {
            fs::remove_all(where, ignored);
        }
        co_return Result<void>{};
    }

    Task<ports::HypervisorFacts> facts() override {
        const auto path = find_program(settings_.binary);
        if (path.empty()) {
            co_return fail(missing());
        }
        std::error_code ignored;
        const auto changed = fs::last_write_time(path, ignored);
        if (facts_.binary != path.string() || changed != facts_of_) {
            std::vector<std::string> arguments;
            arguments.emplace_back("--version");
            CO_TRY(const auto text, co_await output_of(path.string(), std::move(arguments), 5s));
            facts_.binary = path.string();
            facts_.version = std::string{trim(text.substr(0, text.find('\n')))};
            facts_of_ = changed;
        }
        facts_.accelerator = accelerator().name;
        facts_.accelerator_reason = accelerator().reason;
        co_return facts_;
    }

private:
    [[nodiscard]] Error missing() const {
        return Error{
            Code::unavailable, "the program " + quote(settings_.binary) + " is missing or cannot be executed"
        }
            .with_slug("qemu-missing")
            .with_hint("install qemu-system-x86, or set qemu_binary");
    }

    [[nodiscard]] fs::path folder(const std::string& id) const { return settings_.run_dir / id; }

    const Accelerator& accelerator() {
        if (!accelerator_) {
            accelerator_ = settings_.accelerator == "auto" ? choose_accelerator()
                                                           : Accelerator{settings_.accelerator, "configured"};
        }
        return *accelerator_;
    }

    Task<std::shared_ptr<QemuInstance>> start(ports::LaunchPlan plan, ports::Events events) {
        const auto where = folder(plan.id);
        std::error_code failed;
        fs::create_directory(where, failed);
        if (failed) {
            co_return fail(os_error("making the machine's folder", failed.value()));
        }
        fs::permissions(where, fs::perms::owner_all, failed);
        const auto config = where / "boot.cfg";
        const bool calibrate = accelerator().name == "tcg" && machine_type(settings_, plan) == "microvm";
        CO_CHECK(write_file(config, boot_config(settings_, plan, calibrate ? tsc_khz() : std::nullopt), 0600)
        );
        fs::remove(where / "qemu.log", failed);
        fs::remove(where / "frozen", failed);
        const Fd log{::open((where / "qemu.log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
        if (!log) {
            co_return fail(os_error("making the machine's log"));
        }
        CO_TRY(Fd monitor, listen_at(where / "qmp.sock"));
        CO_TRY(Fd console, listen_at(where / "serial.sock"));
        CO_TRY(Fd agent, listen_at(where / "agent.sock"));
        const auto argv = qemu_argv(settings_, plan, accelerator().name, config);
        std::vector<int> descriptors{monitor.get(), console.get(), agent.get()};
        for (const auto& nic : plan.nics) {
            if (nic.tap) {
                descriptors.push_back(nic.tap->get());
            }
        }
        if (find_program(settings_.binary).empty()) {
            co_return fail(missing());
        }
        CO_TRY(auto process, spawn(settings_.binary, argv, log.get(), descriptors));
        // Only QEMU's own copies stay, so that its end closes the sockets.
        monitor.reset();
        console.reset();
        agent.reset();
        plan.nics.clear();
        processes_[plan.id] = process.pid;
        fault_point("launch.spawned");
        auto instance =
            std::make_shared<QemuInstance>(executor_, std::move(process), where, std::move(events), true);
        CO_CHECK(co_await instance->connect(launch_limit, settings_.console_log_bytes));
        fs::remove(config, failed);
        fault_point("launch.connected");
        co_return instance;
    }

    std::optional<Process> find(const std::string& id) {
        const auto pid = processes_.find(id);
        return pid == processes_.end() ? std::nullopt : open_process(pid->second, id);
    }

    // Ends the machine's process by force and waits until it is gone.
    Task<void> end_process(std::string id) {
        const auto process = find(id);
        processes_.erase(id);
        if (!process) {
            co_return Result<void>{};
        }
        kill(*process);
        const bool gone = co_await gone_within(*process, end_limit);
        (void)reap(*process);
        if (!gone) {
            co_return fail(
                Code::timed_out, "QEMU (process " + std::to_string(process->pid) + ") does not die"
            );
        }
        co_return Result<void>{};
    }

    // A process that an earlier run of the service had only just made shows no arguments to find it by until
    // its exec is over, but it holds the machine's sockets from the start.
    Task<void> end_nameless(std::string id) {
        const auto until = std::chrono::steady_clock::now() + end_limit;
        while (somebody_listens(folder(id) / "qmp.sock")) {
            if (std::chrono::steady_clock::now() > until) {
                co_return fail(Code::timed_out, "an unknown process holds the machine's monitor socket");
            }
            asio::steady_timer timer{executor_, 5ms};
            co_await timer.async_wait(as_value);
            processes_ = find_processes();
            CO_CHECK(co_await end_process(id));
        }
        co_return Result<void>{};
    }

    asio::any_io_executor executor_;
    Settings settings_;
    std::optional<Accelerator> accelerator_;
    std::map<std::string, pid_t> processes_;  // as seen at the last look, and started since
    ports::HypervisorFacts facts_;
    fs::file_time_type facts_of_{};
};

}  // namespace

std::unique_ptr<ports::Hypervisor> create_hypervisor(asio::any_io_executor executor, Settings settings) {
    return std::make_unique<Qemu>(std::move(executor), std::move(settings));
}

}  // namespace vmm::qemu
