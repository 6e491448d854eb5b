#pragma once

#include "vmm/base/files.h"
#include "vmm/base/task.h"

#include <boost/asio/local/stream_protocol.hpp>

#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <string>

namespace vmm::qemu {

// A machine's serial console. Always reads what the guest prints, so that a guest never waits for a reader;
// keeps the last part of it in a log of bounded size, and passes it to any number of local clients of
// console.sock, whose input goes to the guest. A client that lags a megabyte behind is dropped. Used on one
// single-threaded executor; keep it in a shared_ptr.
class Console : public std::enable_shared_from_this<Console> {
public:
    // `said` is called with each piece that the guest writes; it may be empty.
    Console(
        asio::any_io_executor executor,
        std::filesystem::path folder,
        std::size_t log_bytes,
        std::function<void(std::string_view)> said
    );

    // Connects to serial.sock and listens on console.sock. unavailable.
    Task<void> open();

    void close();

private:
    struct Client;

    asio::awaitable<void> read_guest();
    asio::awaitable<void> accept_clients();
    asio::awaitable<void> serve(std::shared_ptr<Client> client);
    asio::awaitable<void> write(std::shared_ptr<Client> client);
    void broadcast(std::string_view text);
    void keep(std::string_view text);

    std::filesystem::path folder_;
    std::size_t log_bytes_;
    std::function<void(std::string_view)> said_;
    asio::local::stream_protocol::socket guest_;
    asio::local::stream_protocol::acceptor listener_;
    std::list<std::shared_ptr<Client>> clients_;
    Fd log_;
    std::size_t logged_ = 0;
    bool open_ = false;
};

}  // namespace vmm::qemu
