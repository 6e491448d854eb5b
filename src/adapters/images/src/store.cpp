#include "vmm/images/store.h"

#include "vmm/base/files.h"
#include "vmm/base/ids.h"
#include "vmm/domain/names.h"
#include "vmm/images/qcow2.h"
#include "vmm/json/decode.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace vmm::images {
namespace {

namespace fs = std::filesystem;

// NAME/image.json.
struct Manifest {
    int format = 0;
    std::string kind;
    std::string architecture;
    std::string description;
    std::string kernel;
    std::string initrd;
    std::string command_line;
    std::optional<std::uint32_t> vcpus;
    std::optional<std::uint32_t> memory_mib;
    static constexpr std::array required{"format", "kind", "kernel"};
};
BOOST_DESCRIBE_STRUCT(
    Manifest,
    (),
    (format, kind, architecture, description, kernel, initrd, command_line, vcpus, memory_mib)
)

constexpr std::array<std::string_view, 4> disk_suffixes{"", ".qcow2", ".img", ".raw"};

std::unexpected<Error> unusable(const std::string& name, std::string_view why) {
    return fail(Error{Code::invalid, "the image " + quote(name) + " cannot be used: " + std::string{why}}
                    .with_slug("bad-image")
                    .with_field("image"));
}

bool plain_file_name(std::string_view name) {
    return !name.empty() && !name.contains('/') && name != "." && name != "..";
}

bool safe_command_line(std::string_view line) {
    return line.size() <= 1500 &&
           std::ranges::all_of(line, [](char c) { return c >= 0x20 && c < 0x7f && c != '"'; });
}

class Folder final : public ports::ImageStore {
public:
    Folder(fs::path folder, const std::string& owner)
        : folder_{std::move(folder)}, disks_{folder_ / ".machines" / owner} {}

    Result<ports::Image> find(const std::string& name) override {
        CHECK(domain::check_image_name(name));
        if (fs::exists(folder_ / name / "image.json", ignored_)) {
            return from_manifest(name);
        }
        for (const auto suffix : disk_suffixes) {
            const auto file = folder_ / (name + std::string{suffix});
            if (fs::is_regular_file(file, ignored_)) {
                return from_disk(name, file);
            }
        }
        return fail(Error{Code::invalid, "there is no image " + quote(name)}
                        .with_slug("unknown-image")
                        .with_field("image")
                        .with_hint(known()));
    }

    Result<fs::path> make_disk(const std::string& vm, const ports::Image& image, std::uint32_t gib) override {
        auto file = disks_ / (vm + ".qcow2");
        if (fs::exists(file, ignored_)) {
            return file;
        }
        std::error_code failed;
        fs::create_directories(disks_, failed);
        if (failed) {
            return fail(os_error("making the folder of disks", failed.value()));
        }
        fs::permissions(disks_, fs::perms::owner_all, ignored_);
        const auto bytes = std::max<std::uint64_t>(
            static_cast<std::uint64_t>(gib) << 30, (image.disk_bytes + 511) / 512 * 512
        );
        std::optional<Backing> backing;
        if (!image.disk.empty()) {
            backing = Backing{fs::absolute(image.disk), image.disk_format};
        }
        CHECK(create_qcow2(file, bytes, backing));
        CHECK(sync_folder(disks_));
        return file;
    }

    Result<void> remove_disk(const std::string& vm) override {
        if (::unlink((disks_ / (vm + ".qcow2")).c_str()) != 0 && errno != ENOENT) {
            return fail(os_error("removing the disk"));
        }
        return {};
    }

    Result<std::vector<std::string>> disks() override {
        std::vector<std::string> ids;
        std::error_code failed;
        for (const auto& entry : fs::directory_iterator{disks_, failed}) {
            const auto stem = entry.path().stem().string();
            if (is_id("vm", stem)) {
                ids.push_back(stem);
            }
        }
        return ids;
    }

    std::uint64_t available_mib() override {
        struct statvfs info{};
        if (::statvfs(folder_.c_str(), &info) != 0) {
            return 0;
        }
        return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize >> 20;
    }

private:
    Result<ports::Image> from_manifest(const std::string& name) const {
        const auto text = read_file(folder_ / name / "image.json");
        if (!text) {
            return unusable(name, text.error().message());
        }
        const auto manifest = json::decode_text<Manifest>(*text);
        if (!manifest) {
            return unusable(
                name, "image.json: " + manifest.error().field() + ": " + manifest.error().message()
            );
        }
        if (manifest->format != 1 || manifest->kind != "kernel") {
            return unusable(name, "image.json must have format 1 and kind \"kernel\"");
        }
        if (!plain_file_name(manifest->kernel) ||
            (!manifest->initrd.empty() && !plain_file_name(manifest->initrd))) {
            return unusable(name, "kernel and initrd must be names of files beside image.json");
        }
        if (!safe_command_line(manifest->command_line)) {
            return unusable(
                name, "the command line must be at most 1500 printable characters without quotes"
            );
        }
        ports::Image image;
        image.name = name;
        image.kernel = fs::absolute(folder_ / name / manifest->kernel);
        if (!manifest->initrd.empty()) {
            image.initrd = fs::absolute(folder_ / name / manifest->initrd);
        }
        for (const auto& file : {image.kernel, image.initrd}) {
            if (!file.empty() && ::access(file.c_str(), R_OK) != 0) {
                return unusable(name, file.filename().string() + " is missing");
            }
        }
        image.command_line = manifest->command_line;
        image.vcpus = manifest->vcpus;
        image.memory_mib = manifest->memory_mib;
        return image;
    }

    static Result<ports::Image> from_disk(const std::string& name, const fs::path& file) {
        const Fd fd{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
        struct stat info{};
        std::array<char, 512> start{};
        const auto got = fd ? ::pread(fd.get(), start.data(), start.size(), 0) : -1;
        if (got < 0 || ::fstat(fd.get(), &info) != 0) {
            return unusable(name, os_error("reading it").message());
        }
        ports::Image image;
        image.name = name;
        image.disk = file;
        const std::string_view head{start.data(), static_cast<std::size_t>(got)};
        if (!head.starts_with("QFI\xfb")) {
            image.disk_format = "raw";
            image.disk_bytes = static_cast<std::uint64_t>(info.st_size);
            return image.disk_bytes == 0 ? unusable(name, "it is empty") : Result<ports::Image>{image};
        }
        const auto header = read_qcow2_header(head);
        if (!header) {
            return unusable(name, header.error().message());
        }
        if (header->has_backing_file || header->has_data_file || header->dirty) {
            return unusable(name, "it refers to another file or was not closed cleanly");
        }
        image.disk_format = "qcow2";
        image.disk_bytes = header->virtual_bytes;
        return image;
    }

    // "images here: a, b" for hints.
    [[nodiscard]] std::string known() const {
        std::vector<std::string> names;
        std::error_code failed;
        for (const auto& entry : fs::directory_iterator{folder_, failed}) {
            const auto name = entry.path().filename().string();
            if (!name.starts_with('.') && names.size() < 20) {
                names.push_back(entry.is_directory(failed) ? name : entry.path().stem().string());
            }
        }
        std::ranges::sort(names);
        std::string text =
            names.empty() ? "the image folder is empty; `make guest` builds the image tiny" : "images here:";
        for (const auto& name : names) {
            text.append(" ").append(name);
        }
        return text;
    }

    fs::path folder_;
    fs::path disks_;
    mutable std::error_code ignored_;
};

}  // namespace

std::unique_ptr<ports::ImageStore> create_image_store(fs::path folder, const std::string& owner) {
    return std::make_unique<Folder>(std::move(folder), owner);
}

}  // namespace vmm::images
