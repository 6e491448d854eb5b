#pragma once

#include "vmm/base/files.h"

#include <fcntl.h>
#include <sys/un.h>

#include <filesystem>
#include <string>

namespace vmm::qemu {

// A name for a unix socket that is short however long its path is: Linux allows 107 bytes for one. Valid as
// long as this object lives.
class SocketPath {
public:
    explicit SocketPath(const std::filesystem::path& socket)
        : folder_{::open(socket.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)},
          text_{"/proc/self/fd/" + std::to_string(folder_.get()) + "/" + socket.filename().string()} {}

    [[nodiscard]] const std::string& text() const { return text_; }

    [[nodiscard]] sockaddr_un address() const {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        text_.copy(address.sun_path, sizeof address.sun_path - 1);
        return address;
    }

private:
    Fd folder_;
    std::string text_;
};

}  // namespace vmm::qemu
