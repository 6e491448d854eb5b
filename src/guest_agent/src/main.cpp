#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <string>

#include "agent.h"

// vmm-guest-agent DEVICE: answers on a virtio serial port until the guest ends.
int main(int argc, char** argv) {
    constexpr std::size_t longest_line = 8 << 20;
    if (argc != 2) {
        std::fputs("vmm-guest-agent: which device?\n", stderr);
        return 2;
    }
    const int port = ::open(argv[1], O_RDWR | O_CLOEXEC);
    if (port < 0) {
        std::perror("vmm-guest-agent");
        return 1;
    }
    std::string buffer;
    std::array<char, 65536> block{};
    while (true) {
        const auto count = ::read(port, block.data(), block.size());
        if (count < 0 && errno != EINTR) {
            return 1;
        }
        if (count <= 0) {
            // Nobody is connected on the host's side.
            const timespec pause{0, 20'000'000};
            ::nanosleep(&pause, nullptr);
            continue;
        }
        buffer.append(block.data(), static_cast<std::size_t>(count));
        for (auto end = buffer.find('\n'); end != std::string::npos; end = buffer.find('\n')) {
            const auto reply = vmm::guest_agent::answer(std::string_view{buffer}.substr(0, end));
            buffer.erase(0, end + 1);
            for (std::size_t at = 0; at < reply.size();) {
                const auto written = ::write(port, reply.data() + at, reply.size() - at);
                if (written <= 0) {
                    break;
                }
                at += static_cast<std::size_t>(written);
            }
        }
        if (buffer.size() > longest_line) {
            buffer.clear();
        }
    }
}
