#include "accelerator.h"

#include "vmm/base/files.h"
#include "vmm/base/text.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <limits>
#include <thread>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace vmm::qemu {
namespace {

#if defined(__x86_64__)

constexpr std::size_t page = 4096;
constexpr std::size_t pages = 5;
constexpr std::uint64_t marker_port = 0x10;

// One page-aligned piece of guest memory: page tables in pages 0..2, code in page 3.
class GuestMemory {
public:
    GuestMemory()
        : at_{mmap(nullptr, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)} {
        if (at_ == MAP_FAILED) {
            at_ = nullptr;
            return;
        }
        auto* words = static_cast<std::uint64_t*>(at_);
        words[0] = (1 * page) | 3;         // PML4 -> PDPT
        words[page / 8] = (2 * page) | 3;  // PDPT -> PD
        words[2 * page / 8] = 0x83;        // PD: one 2 MiB page, identity
        // mov $0x2a, %eax; cpuid-free arithmetic in 64 bits; out %al, $0x10; hlt
        constexpr std::array<std::uint8_t, 14> code{
            0x48,
            0xc7,
            0xc0,
            0x29,
            0x00,
            0x00,
            0x00,  // mov rax, 0x29
            0x48,
            0xff,
            0xc0,  // inc rax
            0xe6,
            marker_port,  // out marker_port, al
            0xf4,
            0x90,  // hlt; nop
        };
        std::memcpy(static_cast<char*>(at_) + 3 * page, code.data(), code.size());
    }

    GuestMemory(const GuestMemory&) = delete;
    GuestMemory& operator=(const GuestMemory&) = delete;

    ~GuestMemory() {
        if (at_ != nullptr) {
            munmap(at_, pages * page);
        }
    }

    [[nodiscard]] void* at() const { return at_; }

private:
    void* at_;
};

bool enter_long_mode(int vcpu) {
    kvm_sregs state{};
    if (ioctl(vcpu, KVM_GET_SREGS, &state) != 0) {
        return false;
    }
    kvm_segment code{};
    code.limit = 0xffffffff;
    code.selector = 8;
    code.type = 11;
    code.present = 1;
    code.s = 1;
    code.l = 1;
    code.g = 1;
    kvm_segment data = code;
    data.type = 3;
    data.selector = 16;
    data.l = 0;
    data.db = 1;
    state.cs = code;
    state.ds = state.es = state.fs = state.gs = state.ss = data;
    state.cr3 = 0;
    state.cr4 = 1 << 5;                                // PAE
    state.cr0 = (1U << 31) | (1 << 5) | (1 << 1) | 1;  // paging, protected mode
    state.efer = (1 << 10) | (1 << 8);                 // long mode, active
    kvm_regs registers{};
    registers.rip = 3 * page;
    registers.rsp = 4 * page;
    registers.rflags = 2;
    return ioctl(vcpu, KVM_SET_SREGS, &state) == 0 && ioctl(vcpu, KVM_SET_REGS, &registers) == 0;
}

// Runs the probe machine; empty when it did what an ordinary machine does.
std::string probe() {
    const Fd kvm{::open("/dev/kvm", O_RDWR | O_CLOEXEC)};
    if (!kvm) {
        return std::string{"/dev/kvm cannot be opened: "} +
               std::strerror(errno);  // NOLINT(concurrency-mt-unsafe)
    }
    if (ioctl(kvm.get(), KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
        return "/dev/kvm speaks another version";
    }
    const Fd vm{ioctl(kvm.get(), KVM_CREATE_VM, 0)};
    if (!vm) {
        return "/dev/kvm makes no machines";
    }
    const GuestMemory memory;
    kvm_userspace_memory_region region{0, 0, 0, pages * page, reinterpret_cast<std::uint64_t>(memory.at())};
    if (memory.at() == nullptr || ioctl(vm.get(), KVM_SET_USER_MEMORY_REGION, &region) != 0) {
        return "/dev/kvm takes no memory";
    }
    const Fd vcpu{ioctl(vm.get(), KVM_CREATE_VCPU, 0)};
    const int size = ioctl(kvm.get(), KVM_GET_VCPU_MMAP_SIZE, 0);
    if (!vcpu || size <= 0) {
        return "/dev/kvm makes no processors";
    }
    void* shared =
        mmap(nullptr, static_cast<std::size_t>(size), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu.get(), 0);
    if (shared == MAP_FAILED) {
        return "/dev/kvm shares no state";
    }
    auto* run = static_cast<kvm_run*>(shared);
    const bool ran = enter_long_mode(vcpu.get()) && ioctl(vcpu.get(), KVM_RUN, 0) == 0 &&
                     run->exit_reason == KVM_EXIT_IO && run->io.port == marker_port &&
                     *(static_cast<std::uint8_t*>(shared) + run->io.data_offset) == 0x2a;
    munmap(shared, static_cast<std::size_t>(size));
    return ran ? "" : "/dev/kvm opens, but a probe machine does not run in long mode";
}

bool processor_virtualises() {
    const auto info = read_file("/proc/cpuinfo", 16 << 20);
    if (!info) {
        return false;
    }
    const auto flags = info->find("\nflags");
    const auto line = flags == std::string::npos
                          ? std::string{}
                          : info->substr(flags, info->find('\n', flags + 1) - flags) + " ";
    return line.contains(" vmx ") || line.contains(" svm ");
}

struct Sample {
    std::uint64_t ticks;
    std::int64_t ns;
};

std::int64_t raw_ns() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC_RAW, &time);
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

// Both clocks at one moment: of a few looks the one that was interrupted least, since on a busy host
// milliseconds can pass between two lines.
Sample sample() {
    Sample best{};
    auto least = std::numeric_limits<std::int64_t>::max();
    for (int look = 0; look < 8; ++look) {
        const auto before = raw_ns();
        const auto ticks = __rdtsc();
        const auto took = raw_ns() - before;
        if (took < least) {
            least = took;
            best = {ticks, before + took / 2};
        }
    }
    return best;
}

const Sample first_sample = sample();

#endif

}  // namespace

Accelerator choose_accelerator() {
#if defined(__x86_64__)
    if (!processor_virtualises()) {
        return {"tcg", "the processor offers no virtualisation (neither vmx nor svm in /proc/cpuinfo)"};
    }
    const auto wrong = probe();
    return wrong.empty() ? Accelerator{"kvm", "a probe machine ran"} : Accelerator{"tcg", wrong};
#else
    return {"tcg", "not an x86-64 host"};
#endif
}

std::optional<std::uint64_t> tsc_khz() {
#if defined(__x86_64__)
    static const std::uint64_t khz = [] {
        auto last = sample();
        while (last.ns - first_sample.ns < 20'000'000) {
            std::this_thread::sleep_for(std::chrono::milliseconds{5});
            last = sample();
        }
        return (last.ticks - first_sample.ticks) * 1'000'000 /
               static_cast<std::uint64_t>(last.ns - first_sample.ns);
    }();
    return khz;
#else
    return std::nullopt;
#endif
}

}  // namespace vmm::qemu
