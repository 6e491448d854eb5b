#include "vmm/base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace vmm {

void Fd::reset() {
    if (fd_ >= 0) {
        ::close(fd_);
        fd_ = -1;
    }
}

Error os_error(std::string_view what) {
    return os_error(what, errno);
}

Error os_error(std::string_view what, int error_number) {
    std::string message{what};
    message.append(": ").append(std::generic_category().message(error_number));
    Error error{error_number == ENOENT ? Code::not_found : Code::unavailable, std::move(message)};
    if (error_number == ENOSPC || error_number == EDQUOT) {
        return std::move(error).with_slug("no-space");
    }
    return error;
}

Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit) {
    const Fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!file) {
        return fail(os_error("opening " + path.filename().string()));
    }
    std::string content;
    char block[16384];
    while (true) {
        const auto got = ::read(file.get(), block, sizeof block);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail(os_error("reading " + path.filename().string()));
        }
        if (got == 0) {
            return content;
        }
        content.append(block, static_cast<std::size_t>(got));
        if (content.size() > limit) {
            return fail(
                Code::too_large,
                path.filename().string() + " is larger than " + std::to_string(limit) + " bytes"
            );
        }
    }
}

Result<void> write_file(const std::filesystem::path& path, std::string_view content, unsigned mode) {
    ::unlink(path.c_str());
    const Fd file{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)};
    if (!file) {
        return fail(os_error("creating " + path.filename().string()));
    }
    while (!content.empty()) {
        const auto put = ::write(file.get(), content.data(), content.size());
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            auto error = os_error("writing " + path.filename().string());
            ::unlink(path.c_str());
            return fail(std::move(error));
        }
        content.remove_prefix(static_cast<std::size_t>(put));
    }
    return {};
}

Result<void> sync_folder(const std::filesystem::path& folder) {
    const Fd fd{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!fd || ::fsync(fd.get()) != 0) {
        return fail(os_error("syncing a folder"));
    }
    return {};
}

}  // namespace vmm
