#include "context.h"

#include "vmm/base/files.h"
#include "vmm/base/ids.h"
#include "vmm/base/text.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <vector>

namespace vmm::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_bytes = 1ULL << 30;

struct FreeArchive {
    void operator()(archive* writer) const { archive_write_free(writer); }
};

struct FreeEntry {
    void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};

la_ssize_t append(archive*, void* out, const void* bytes, std::size_t count) {
    static_cast<std::string*>(out)->append(static_cast<const char*>(bytes), count);
    return static_cast<la_ssize_t>(count);
}

Result<void> add(archive* writer, const fs::path& folder, const fs::path& path) {
    const auto status = fs::symlink_status(path);
    const std::unique_ptr<archive_entry, FreeEntry> entry{archive_entry_new()};
    archive_entry_set_pathname(entry.get(), path.lexically_relative(folder).c_str());
    archive_entry_set_perm(entry.get(), static_cast<mode_t>(status.permissions()) & 07777);
    std::string content;
    if (fs::is_symlink(status)) {
        archive_entry_set_filetype(entry.get(), AE_IFLNK);
        archive_entry_set_symlink(entry.get(), fs::read_symlink(path).c_str());
    } else if (fs::is_directory(status)) {
        archive_entry_set_filetype(entry.get(), AE_IFDIR);
    } else if (fs::is_regular_file(status)) {
        TRY(content, read_file(path, most_bytes));
        archive_entry_set_filetype(entry.get(), AE_IFREG);
        archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
    } else {
        return {};  // a socket or a device is nobody's source
    }
    const bool written =
        archive_write_header(writer, entry.get()) == ARCHIVE_OK &&
        archive_write_data(writer, content.data(), content.size()) == static_cast<la_ssize_t>(content.size());
    return written
               ? Result<void>{}
               : fail(Code::unavailable, "packing " + path.string() + ": " + archive_error_string(writer));
}

Result<std::string> tar_of(const fs::path& folder) {
    std::error_code failed;
    std::vector<fs::path> paths;
    for (fs::recursive_directory_iterator entry{folder, failed};
         !failed && entry != fs::recursive_directory_iterator{};
         entry.increment(failed)) {
        paths.push_back(entry->path());
    }
    if (failed) {
        return fail(
            Code::not_found,
            "the build context " + quote(folder.string()) + " cannot be read: " + failed.message()
        );
    }
    std::ranges::sort(paths);
    std::string out;
    const std::unique_ptr<archive, FreeArchive> writer{archive_write_new()};
    archive_write_set_format_pax_restricted(writer.get());
    archive_write_open(writer.get(), &out, nullptr, &append, nullptr);
    for (const auto& path : paths) {
        CHECK(add(writer.get(), folder, path));
    }
    archive_write_close(writer.get());
    return out;
}

}  // namespace

Result<Form> form_with_context(const std::string& order, const std::string& folder) {
    TRY(const auto tar, tar_of(fs::path{folder}.lexically_normal()));
    const auto boundary = "vmctl-" + random_text(20);
    const auto part =
        [&boundary](const std::string& name, const std::string& type, const std::string& content) {
            return "--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + name +
                   "\"\r\nContent-Type: " + type + "\r\n\r\n" + content + "\r\n";
        };
    return Form{
        "multipart/form-data; boundary=" + boundary,
        part("request", "application/json", order) + part("context", "application/x-tar", tar) + "--" +
            boundary + "--\r\n"
    };
}

}  // namespace vmm::cli
