#pragma once

#include "vmm/base/error.h"

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

namespace vmm {

// A file descriptor that is closed with its owner.
class Fd {
public:
    Fd() = default;

    explicit Fd(int fd) : fd_{fd} {}

    Fd(Fd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}

    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) {
            reset();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }

    ~Fd() { reset(); }

    [[nodiscard]] int get() const { return fd_; }

    [[nodiscard]] explicit operator bool() const { return fd_ >= 0; }

    int release() { return std::exchange(fd_, -1); }

    void reset();

private:
    int fd_ = -1;
};

// The last system call's error as an Error: no space left is unavailable with the slug "no-space", the rest
// unavailable. `what` says what was tried, without naming paths that a caller may not know.
Error os_error(std::string_view what);
Error os_error(std::string_view what, int error_number);

// The whole file, at most `limit` bytes. not_found, too_large, unavailable.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit = 1 << 20);

// Makes a new file of this content with this mode; an existing one is removed first, so readers of the old
// one keep it. Does not wait for the disk.
Result<void> write_file(const std::filesystem::path& path, std::string_view content, unsigned mode);

// Waits until the folder's entries are on the disk.
Result<void> sync_folder(const std::filesystem::path& folder);

}  // namespace vmm
