#include "walls.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace vmm::jail {
namespace {

void check(int result, const char* what) {
    if (result < 0) {
        die(what);
    }
}

// A mount by descriptor, so that what is mounted stays reachable when a new root hides its path.
std::string path_of(int fd) {
    return "/proc/self/fd/" + std::to_string(fd);
}

int hold(const std::string& path) {
    const int fd = ::open(path.c_str(), O_PATH | O_CLOEXEC);
    if (fd < 0) {
        die(path.c_str());
    }
    return fd;
}

enum class Writing { forbidden, allowed };

void bind(int from, const std::string& to, Writing writing) {
    struct stat info{};
    check(::fstat(from, &info), "stat");
    if (S_ISDIR(info.st_mode)) {
        check(::mkdir(to.c_str(), 0755), "mkdir");
    } else {
        const int place = ::open(to.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
        check(place, "creating a mount point");
        ::close(place);
    }
    check(::mount(path_of(from).c_str(), to.c_str(), nullptr, MS_BIND, nullptr), "bind mount");
    const unsigned long flags =
        MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | (writing == Writing::forbidden ? MS_RDONLY : MS_NOEXEC);
    check(::mount(nullptr, to.c_str(), nullptr, flags, nullptr), "remount");
    ::close(from);
}

}  // namespace

void die(const char* what) {
    std::fprintf(stderr, "vmm-jail: %s: %s\n", what, std::strerror(errno));
    std::_Exit(125);
}

void build_root(const Cell& cell) {
    check(::unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS), "unshare");
    check(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "making mounts private");
    const int usr = hold("/usr");
    const int cache = ::open("/etc/ld.so.cache", O_PATH | O_CLOEXEC);
    const std::array devices{hold("/dev/null"), hold("/dev/urandom")};
    const int work = hold(cell.folder);
    std::vector<int> inputs;
    inputs.reserve(cell.inputs.size());
    for (const auto& input : cell.inputs) {
        inputs.push_back(hold(input.outside));
    }
    // Somewhere to stand; every Linux has it, and the mount is seen by this process alone.
    const std::string root = "/tmp";
    check(
        ::mount("tmpfs", root.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=755"), "mounting a root"
    );
    for (const auto* folder : {"/in", "/dev", "/etc"}) {
        check(::mkdir((root + folder).c_str(), 0755), "mkdir");
    }
    bind(usr, root + "/usr", Writing::forbidden);
    if (cache >= 0) {
        bind(cache, root + "/etc/ld.so.cache", Writing::forbidden);
    }
    static constexpr std::array device_names{"null", "urandom"};
    for (std::size_t i = 0; i < devices.size(); ++i) {
        // Without the nodev of other mounts.
        const auto to = root + "/dev/" + device_names[i];
        const int place = ::open(to.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        check(place, "creating a mount point");
        ::close(place);
        check(::mount(path_of(devices[i]).c_str(), to.c_str(), nullptr, MS_BIND, nullptr), "bind mount");
    }
    bind(work, root + "/out", Writing::allowed);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        bind(inputs[i], root + "/in/" + cell.inputs[i].inside, Writing::forbidden);
    }
    for (const auto* name : {"bin", "sbin", "lib", "lib64"}) {
        (void)::symlink((std::string{"usr/"} + name).c_str(), (root + "/" + name).c_str());
    }
    check(
        ::mount(
            nullptr, root.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, nullptr
        ),
        "remount"
    );
    check(::chdir(root.c_str()), "chdir");
    check(static_cast<int>(::syscall(SYS_pivot_root, ".", ".")), "pivot_root");
    check(::umount2(".", MNT_DETACH), "leaving the old root");
    check(::chdir("/out"), "chdir");
}

void set_limits(const Cell& cell) {
    const auto limit = [](__rlimit_resource what, std::uint64_t value) {
        const rlimit both{value, value};
        check(::setrlimit(what, &both), "setrlimit");
    };
    limit(RLIMIT_FSIZE, cell.file_bytes);
    limit(RLIMIT_AS, cell.memory_bytes);
    limit(RLIMIT_CPU, cell.cpu_s);
    limit(RLIMIT_NOFILE, 8192);  // a vmdk may have thousands of extents
    limit(RLIMIT_CORE, 0);
}

void drop_privileges(const Cell& cell) {
    for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
        if (capability != CAP_DAC_READ_SEARCH) {
            (void)::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
    }
    check(::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "keeping capabilities");
    check(::setgroups(0, nullptr), "setgroups");
    check(::setresgid(cell.user, cell.user, cell.user), "setresgid");
    check(::setresuid(cell.user, cell.user, cell.user), "setresuid");
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> sets{};
    sets[0].permitted = sets[0].effective = sets[0].inheritable = 1U << CAP_DAC_READ_SEARCH;
    check(static_cast<int>(::syscall(SYS_capset, &header, sets.data())), "capset");
    check(::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH, 0, 0), "ambient capability");
    check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
}

void close_system_calls() {
    // What qemu-img and the C library use to read and write files. open_by_handle_at, which would make the
    // right to read reach beyond the root, is not among them, nor is anything of sockets, tracing, mounting
    // or keys.
    static constexpr std::array allowed{
        SCMP_SYS(read),
        SCMP_SYS(write),
        SCMP_SYS(pread64),
        SCMP_SYS(pwrite64),
        SCMP_SYS(readv),
        SCMP_SYS(writev),
        SCMP_SYS(preadv),
        SCMP_SYS(pwritev),
        SCMP_SYS(preadv2),
        SCMP_SYS(pwritev2),
        SCMP_SYS(lseek),
        SCMP_SYS(openat),
        SCMP_SYS(open),
        SCMP_SYS(close),
        SCMP_SYS(close_range),
        SCMP_SYS(fstat),
        SCMP_SYS(stat),
        SCMP_SYS(lstat),
        SCMP_SYS(newfstatat),
        SCMP_SYS(statx),
        SCMP_SYS(fstatfs),
        SCMP_SYS(statfs),
        SCMP_SYS(access),
        SCMP_SYS(faccessat),
        SCMP_SYS(faccessat2),
        SCMP_SYS(readlink),
        SCMP_SYS(readlinkat),
        SCMP_SYS(getcwd),
        SCMP_SYS(getdents64),
        SCMP_SYS(ftruncate),
        SCMP_SYS(fallocate),
        SCMP_SYS(fsync),
        SCMP_SYS(fdatasync),
        SCMP_SYS(sync_file_range),
        SCMP_SYS(fadvise64),
        SCMP_SYS(flock),
        SCMP_SYS(fcntl),
        SCMP_SYS(ioctl),
        SCMP_SYS(mmap),
        SCMP_SYS(munmap),
        SCMP_SYS(mprotect),
        SCMP_SYS(mremap),
        SCMP_SYS(madvise),
        SCMP_SYS(brk),
        SCMP_SYS(futex),
        SCMP_SYS(set_robust_list),
        SCMP_SYS(get_robust_list),
        SCMP_SYS(rseq),
        SCMP_SYS(sched_yield),
        SCMP_SYS(sched_getaffinity),
        SCMP_SYS(sched_getparam),
        SCMP_SYS(sched_getscheduler),
        SCMP_SYS(nanosleep),
        SCMP_SYS(clock_nanosleep),
        SCMP_SYS(clock_gettime),
        SCMP_SYS(clock_getres),
        SCMP_SYS(gettimeofday),
        SCMP_SYS(time),
        SCMP_SYS(poll),
        SCMP_SYS(ppoll),
        SCMP_SYS(select),
        SCMP_SYS(pselect6),
        SCMP_SYS(epoll_create1),
        SCMP_SYS(epoll_ctl),
        SCMP_SYS(epoll_wait),
        SCMP_SYS(epoll_pwait),
        SCMP_SYS(eventfd2),
        SCMP_SYS(pipe2),
        SCMP_SYS(timerfd_create),
        SCMP_SYS(timerfd_settime),
        SCMP_SYS(signalfd4),
        SCMP_SYS(rt_sigaction),
        SCMP_SYS(rt_sigprocmask),
        SCMP_SYS(rt_sigreturn),
        SCMP_SYS(rt_sigtimedwait),
        SCMP_SYS(sigaltstack),
        SCMP_SYS(tgkill),
        SCMP_SYS(gettid),
        SCMP_SYS(getpid),
        SCMP_SYS(getppid),
        SCMP_SYS(getuid),
        SCMP_SYS(geteuid),
        SCMP_SYS(getgid),
        SCMP_SYS(getegid),
        SCMP_SYS(prctl),
        SCMP_SYS(arch_prctl),
        SCMP_SYS(prlimit64),
        SCMP_SYS(getrlimit),
        SCMP_SYS(getrandom),
        SCMP_SYS(uname),
        SCMP_SYS(sysinfo),
        SCMP_SYS(exit),
        SCMP_SYS(exit_group),
        SCMP_SYS(execve),
        SCMP_SYS(restart_syscall),
        SCMP_SYS(dup),
        SCMP_SYS(dup2),
        SCMP_SYS(dup3),
        SCMP_SYS(copy_file_range),
        SCMP_SYS(unlink),
        SCMP_SYS(umask),
        SCMP_SYS(set_tid_address),
        SCMP_SYS(membarrier),
    };
    auto* filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == nullptr) {
        die("seccomp");
    }
    for (const int call : allowed) {
        if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0) != 0) {
            die("seccomp");
        }
    }
    // clone3 and io_uring are answered as absent, so that the C library and QEMU take the older way: the
    // flags of clone can be looked at, and none of those that make a namespace is let through.
    constexpr scmp_datum_t namespaces = CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID |
                                        CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    const scmp_arg_cmp no_namespace{0, SCMP_CMP_MASKED_EQ, namespaces, 0};
    if (seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, &no_namespace) != 0 ||
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) != 0 ||
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_setup), 0) != 0) {
        die("seccomp");
    }
    if (seccomp_load(filter) != 0) {
        die("seccomp");
    }
    seccomp_release(filter);
}

}  // namespace vmm::jail
