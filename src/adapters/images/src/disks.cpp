#include "vmm/base/files.h"
#include "vmm/base/ids.h"
#include "vmm/base/pool.h"
#include "vmm/images/qcow2.h"
#include "vmm/images/store.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace vmm::images {
namespace {

namespace fs = std::filesystem;

// The data of a file, holes left out. The target is empty and has the size already.
Result<void> copy_data(int from, int to, off_t size) {
    for (off_t at = 0; at < size;) {
        const auto data = ::lseek(from, at, SEEK_DATA);
        if (data < 0) {
            return errno == ENXIO ? Result<void>{} : fail(os_error("copying a disk"));
        }
        const auto hole = ::lseek(from, data, SEEK_HOLE);
        if (hole < 0) {
            return fail(os_error("copying a disk"));
        }
        off_t source = data;
        off_t target = data;
        while (source < hole) {
            const auto copied =
                ::copy_file_range(from, &source, to, &target, static_cast<std::size_t>(hole - source), 0);
            if (copied < 0 && errno == EINTR) {
                continue;
            }
            if (copied <= 0) {
                return fail(os_error("copying a disk"));
            }
        }
        at = hole;
    }
    return {};
}

class Disks final : public ports::DiskStore {
public:
    explicit Disks(Settings settings)
        : settings_{std::move(settings)},
          disks_{fs::absolute(settings_.folder) / ".machines" / settings_.owner} {}

    [[nodiscard]] fs::path path(const std::string& id) const override { return disks_ / (id + ".qcow2"); }

    Result<fs::path> make_root(const std::string& vm, const ports::Image& image, std::uint32_t gib) override {
        return make(vm, bytes_of(image, gib), backing_of(image));
    }

    Result<void> make_overlay(const fs::path& file, const ports::Image& image, std::uint32_t gib) override {
        std::error_code failed;
        fs::remove(file, failed);
        return create_qcow2(file, bytes_of(image, gib), backing_of(image));
    }

    Result<fs::path> make_volume(const std::string& volume, std::uint32_t gib) override {
        return make(volume, static_cast<std::uint64_t>(gib) << 30, std::nullopt);
    }

    Task<void> grow(std::string id, std::uint32_t gib) override {
        const auto file = path(id);
        const auto bytes = static_cast<std::uint64_t>(gib) << 30;
        CO_TRY(const auto has, qcow2_bytes(file));
        if (has >= bytes) {
            co_return Result<void>{};
        }
        CO_TRY(const bool done, grow_qcow2(file, bytes));
        if (!done) {
            co_return fail(Error{Code::invalid, "a stopped machine's disk cannot grow beyond 4 TiB"}
                               .with_field("disk_gib")
                               .with_hint("start the machine and grow the disk while it runs"));
        }
        co_return Result<void>{};
    }

    Task<void> copy(fs::path from, fs::path to) override {
        auto work = [from, to]() -> Result<void> {
            const Fd source{::open(from.c_str(), O_RDONLY | O_CLOEXEC)};
            const Fd target{::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
            struct stat info{};
            if (!source || !target || ::fstat(source.get(), &info) != 0) {
                return fail(os_error("copying a disk"));
            }
            // Shares the blocks where the file system can.
            if (::ioctl(target.get(), FICLONE, source.get()) != 0) {
                if (::ftruncate(target.get(), info.st_size) != 0) {
                    return fail(os_error("copying a disk"));
                }
                CHECK(copy_data(source.get(), target.get(), info.st_size));
            }
            if (::fdatasync(target.get()) != 0) {
                return fail(os_error("copying a disk"));
            }
            return sync_folder(to.parent_path());
        };
        co_return co_await blocking(pool_, std::move(work));
    }

    Result<void> remove(const std::string& id) override {
        for (const auto& file : {path(id), draft_of(path(id))}) {
            if (::unlink(file.c_str()) != 0 && errno != ENOENT) {
                return fail(os_error("removing the disk"));
            }
        }
        return {};
    }

    Result<std::vector<std::string>> all() override {
        std::vector<std::string> ids;
        std::error_code failed;
        for (const auto& entry : fs::directory_iterator{disks_, failed}) {
            auto stem = entry.path().stem();
            if (stem.extension() == ".qcow2") {
                stem = stem.stem();  // a draft
            }
            if (is_id("vm", stem.string()) || is_id("vol", stem.string())) {
                ids.push_back(stem.string());
            }
        }
        return ids;
    }

    [[nodiscard]] fs::path backing(const std::string& id) const override {
        return qcow2_backing(path(id)).value_or(fs::path{});
    }

    [[nodiscard]] std::uint64_t real_bytes(const std::string& id) const override {
        struct stat info{};
        return ::stat(path(id).c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_blocks) * 512 : 0;
    }

    std::uint64_t available_mib() override {
        struct statvfs info{};
        if (::statvfs(settings_.folder.c_str(), &info) != 0) {
            return 0;
        }
        return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize >> 20;
    }

private:
    static std::uint64_t bytes_of(const ports::Image& image, std::uint32_t gib) {
        return std::max<std::uint64_t>(
            static_cast<std::uint64_t>(gib) << 30, (image.disk_bytes + 511) / 512 * 512
        );
    }

    static std::optional<Backing> backing_of(const ports::Image& image) {
        return image.disk.empty() ? std::nullopt
                                  : std::optional{Backing{fs::absolute(image.disk), image.disk_format}};
    }

    Result<fs::path> make(const std::string& id, std::uint64_t bytes, const std::optional<Backing>& backing) {
        const auto file = path(id);
        std::error_code failed;
        if (fs::exists(file, failed)) {
            // Made by an earlier run, which may have been killed before its name was on the disk.
            CHECK(sync_folder(disks_));
            return file;
        }
        fs::create_directories(disks_, failed);
        if (failed) {
            return fail(os_error("making the folder of disks", failed.value()));
        }
        fs::permissions(disks_, fs::perms::owner_all, failed);
        CHECK(create_qcow2(file, bytes, backing));
        CHECK(sync_folder(disks_));
        return file;
    }

    Settings settings_;
    fs::path disks_;
    Pool pool_{1};
};

}  // namespace

std::unique_ptr<ports::DiskStore> create_disk_store(const Settings& settings) {
    return std::make_unique<Disks>(settings);
}

}  // namespace vmm::images
