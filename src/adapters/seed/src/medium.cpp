#include "vmm/base/files.h"
#include "vmm/base/text.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <set>

#include "parts.h"

namespace vmm::seed {
namespace {

struct FreeArchive {
    void operator()(archive* writer) const { archive_write_free(writer); }
};

struct FreeEntry {
    void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};

std::unexpected<Error> failed(archive* writer) {
    const bool full = archive_errno(writer) == ENOSPC;
    return fail(Error{
        Code::unavailable, "the seed medium cannot be written: " + quote(archive_error_string(writer), 200)
    }
                    .with_slug(full ? "no-space" : "seed-failed"));
}

Result<void> begin_entry(archive* writer, const std::string& path, mode_t type, std::uint64_t bytes) {
    const std::unique_ptr<archive_entry, FreeEntry> entry{archive_entry_new()};
    archive_entry_set_pathname(entry.get(), path.c_str());
    archive_entry_set_filetype(entry.get(), type);
    archive_entry_set_perm(entry.get(), type == AE_IFDIR ? 0755 : 0644);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(bytes));
    archive_entry_set_mtime(entry.get(), 0, 0);
    return archive_write_header(writer, entry.get()) == ARCHIVE_OK ? Result<void>{} : failed(writer);
}

Result<void> add_bytes(archive* writer, std::string_view bytes) {
    while (!bytes.empty()) {
        const auto count = archive_write_data(writer, bytes.data(), bytes.size());
        if (count <= 0) {
            return failed(writer);
        }
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return {};
}

Result<void> add(archive* writer, const MediumFile& file) {
    if (file.from.empty()) {
        CHECK(begin_entry(writer, file.path, AE_IFREG, file.content.size()));
        return add_bytes(writer, file.content);
    }
    const Fd from{::open(file.from.c_str(), O_RDONLY | O_CLOEXEC)};
    struct stat info{};
    if (!from || ::fstat(from.get(), &info) != 0) {
        return fail(os_error("reading the build context"));
    }
    CHECK(begin_entry(writer, file.path, AE_IFREG, static_cast<std::uint64_t>(info.st_size)));
    std::array<char, 65536> block{};
    while (true) {
        const auto count = ::read(from.get(), block.data(), block.size());
        if (count < 0) {
            return fail(os_error("reading the build context"));
        }
        if (count == 0) {
            return {};
        }
        CHECK(add_bytes(writer, {block.data(), static_cast<std::size_t>(count)}));
    }
}

}  // namespace

Result<void> write_medium(const std::vector<MediumFile>& files, const std::filesystem::path& to) {
    const std::unique_ptr<archive, FreeArchive> writer{archive_write_new()};
    archive_write_set_format_iso9660(writer.get());
    archive_write_set_options(writer.get(), "volume-id=cidata,joliet=long,rockridge=useful,pad");
    archive_write_set_bytes_per_block(writer.get(), 0);
    ::unlink(to.c_str());
    const Fd file{::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    if (!file) {
        return fail(os_error("making the seed medium"));
    }
    if (archive_write_open_fd(writer.get(), file.get()) != ARCHIVE_OK) {
        return failed(writer.get());
    }
    std::set<std::string> folders;
    for (const auto& each : files) {
        const auto folder = std::filesystem::path{each.path}.parent_path().string();
        if (!folder.empty() && folders.insert(folder).second) {
            CHECK(begin_entry(writer.get(), folder, AE_IFDIR, 0));
        }
        CHECK(add(writer.get(), each));
    }
    return archive_write_close(writer.get()) == ARCHIVE_OK ? Result<void>{} : failed(writer.get());
}

}  // namespace vmm::seed
