#include "vmm/form/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "io.h"

namespace vmm::form {

Result<void> read_at(int file, std::uint64_t at, char* to, std::size_t bytes) {
    while (bytes > 0) {
        const auto got = ::pread(file, to, bytes, static_cast<off_t>(at));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail(os_error("reading the image"));
        }
        if (got == 0) {
            return fail(Error{Code::malformed, "the image is cut off at byte " + std::to_string(at)}
                            .with_slug("form-damaged"));
        }
        to += got;
        at += static_cast<std::uint64_t>(got);
        bytes -= static_cast<std::size_t>(got);
    }
    return {};
}

Result<void> write_at(int file, std::uint64_t at, std::string_view data) {
    while (!data.empty()) {
        const auto put = ::pwrite(file, data.data(), data.size(), static_cast<off_t>(at));
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return fail(os_error("writing the image"));
        }
        at += static_cast<std::uint64_t>(put);
        data.remove_prefix(static_cast<std::size_t>(put));
    }
    return {};
}

Result<Index> read_index_of(int file) {
    std::string bytes(header_bytes, '\0');
    CHECK(read_at(file, 0, bytes.data(), bytes.size()));
    TRY(const auto header, read_header(bytes));
    struct stat info{};
    if (::fstat(file, &info) != 0) {
        return fail(os_error("reading the image"));
    }
    // Before memory is taken for what the header claims.
    if (static_cast<std::uint64_t>(info.st_size) < header.index_bytes()) {
        return fail(Error{Code::malformed, "the image is cut off within its index"}.with_slug("form-damaged")
        );
    }
    bytes.resize(header.index_bytes());
    CHECK(read_at(file, header_bytes, bytes.data() + header_bytes, bytes.size() - header_bytes));
    TRY(auto index, read_index(bytes));
    if (static_cast<std::uint64_t>(info.st_size) != index.file_bytes()) {
        return fail(Error{
            Code::malformed,
            "the image has " + std::to_string(info.st_size) + " bytes, its index says " +
                std::to_string(index.file_bytes())
        }
                        .with_slug("form-damaged"));
    }
    return index;
}

Result<Extraction>
Extraction::begin(const Index& index, const std::map<std::string, std::filesystem::path>& outputs) {
    Extraction out;
    for (const auto& [role, bytes] : index.manifest.files) {
        const auto& path = outputs.at(role);
        out.files_.emplace_back(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        if (!out.files_.back() || ::ftruncate(out.files_.back().get(), static_cast<off_t>(bytes)) != 0) {
            return fail(os_error("making the image's " + role));
        }
    }
    return out;
}

Result<void> Extraction::write(const Place& place, std::string_view content) const {
    return write_at(files_[place.file].get(), place.offset, content);
}

Result<void> Extraction::sync() const {
    for (const auto& file : files_) {
        if (::fdatasync(file.get()) != 0) {
            return fail(os_error("writing the image"));
        }
    }
    return {};
}

}  // namespace vmm::form
