#include "vmm/host/host.h"

#include "vmm/base/files.h"
#include "vmm/base/ids.h"
#include "vmm/base/text.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace vmm::host {
namespace {

// The number after "Name:" in /proc/meminfo, in MiB.
std::uint64_t meminfo_mib(std::string_view text, std::string_view name) {
    const auto at = text.find(name);
    if (at == std::string_view::npos) {
        return 0;
    }
    auto rest = trim(text.substr(at + name.size(), 40));
    return parse_number<std::uint64_t>(rest.substr(0, rest.find(' '))).value_or(0) / 1024;
}

class Linux final : public ports::Host {
public:
    [[nodiscard]] domain::HostCapacity capacity() const override {
        domain::HostCapacity capacity;
        cpu_set_t allowed;
        CPU_ZERO(&allowed);
        if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
            capacity.cpus = static_cast<std::uint32_t>(CPU_COUNT(&allowed));
        }
        const auto memory = read_file("/proc/meminfo");
        if (memory) {
            capacity.memory_mib = meminfo_mib(*memory, "MemTotal:");
            capacity.memory_available_mib = meminfo_mib(*memory, "MemAvailable:");
        }
        return capacity;
    }

    [[nodiscard]] std::string boot_id() const override {
        const auto id = read_file("/proc/sys/kernel/random/boot_id");
        return id ? std::string{trim(*id)} : std::string{};
    }

    [[nodiscard]] std::vector<domain::HostGpu> gpus() const override { return find_gpus("/sys"); }

    [[nodiscard]] Result<std::uint64_t> check_folder(const std::filesystem::path& folder) const override {
        const auto probe = folder / (".probe-" + random_text(8));
        const Fd file{::open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
        if (!file) {
            return fail(os_error("writing to " + folder.string()));
        }
        ::unlink(probe.c_str());
        struct statvfs info{};
        if (::statvfs(folder.c_str(), &info) != 0) {
            return fail(os_error("asking for the free space of " + folder.string()));
        }
        return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize >> 20;
    }
};

}  // namespace

std::unique_ptr<ports::Host> create_host() {
    return std::make_unique<Linux>();
}

}  // namespace vmm::host
