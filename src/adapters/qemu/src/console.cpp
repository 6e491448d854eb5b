#include "console.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/write.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>

#include "socket_path.h"

namespace vmm::qemu {
namespace {

using Socket = asio::local::stream_protocol::socket;

constexpr std::size_t most_clients = 16;
// What a client may lag behind before it is dropped.
constexpr std::size_t most_behind = 1 << 20;

}  // namespace

struct Console::Client {
    explicit Client(Socket accepted) : socket{std::move(accepted)} {}

    Socket socket;
    std::string pending;  // not yet on its way to the client
    bool writing = false;
};

Console::Console(
    asio::any_io_executor executor,
    std::filesystem::path folder,
    std::size_t log_bytes,
    std::function<void(std::string_view)> said
)
    : folder_{std::move(folder)},
      log_bytes_{log_bytes},
      said_{std::move(said)},
      guest_{executor},
      listener_{executor} {}

Task<void> Console::open() {
    const SocketPath serial_name{folder_ / "serial.sock"};
    const asio::local::stream_protocol::endpoint serial{serial_name.text()};
    const auto [failed] = co_await guest_.async_connect(serial, as_value);
    if (failed) {
        co_return fail(Code::unavailable, "the machine's console cannot be reached: " + failed.message());
    }
    const auto path = folder_ / "console.sock";
    ::unlink(path.c_str());
    boost::system::error_code wrong;
    listener_.open({}, wrong);
    if (!wrong) {
        const SocketPath name{path};
        listener_.bind({name.text()}, wrong);
    }
    if (!wrong) {
        listener_.listen(8, wrong);
    }
    if (wrong) {
        co_return fail(Code::unavailable, "the console's socket cannot be made: " + wrong.message());
    }
    open_ = true;
    // Both hold their own share of the console and end when it is closed.
    const auto executor = guest_.get_executor();
    asio::co_spawn(executor, [self = shared_from_this()] { return self->read_guest(); }, asio::detached);
    asio::co_spawn(executor, [self = shared_from_this()] { return self->accept_clients(); }, asio::detached);
    co_return Result<void>{};
}

void Console::close() {
    open_ = false;
    boost::system::error_code ignored;
    guest_.close(ignored);
    listener_.close(ignored);
    for (const auto& client : clients_) {
        client->socket.close(ignored);
    }
}

asio::awaitable<void> Console::read_guest() {
    std::array<char, 4096> block{};
    while (open_) {
        const auto [failed, count] = co_await guest_.async_read_some(asio::buffer(block), as_value);
        if (failed) {
            break;
        }
        keep({block.data(), count});
        broadcast({block.data(), count});
        if (said_) {
            said_({block.data(), count});
        }
    }
    close();
}

asio::awaitable<void> Console::accept_clients() {
    while (open_) {
        auto [failed, socket] = co_await listener_.async_accept(as_value);
        if (failed) {
            break;
        }
        if (clients_.size() >= most_clients) {
            continue;  // closed with the socket
        }
        auto client = std::make_shared<Client>(std::move(socket));
        clients_.push_back(client);
        asio::co_spawn(
            guest_.get_executor(),
            [self = shared_from_this(), client] { return self->serve(client); },
            asio::detached
        );
    }
}

asio::awaitable<void> Console::serve(std::shared_ptr<Client> client) {
    std::array<char, 1024> block{};
    while (open_) {
        const auto [failed, count] = co_await client->socket.async_read_some(asio::buffer(block), as_value);
        if (failed) {
            break;
        }
        const auto [lost, written] =
            co_await asio::async_write(guest_, asio::buffer(block.data(), count), as_value);
        if (lost) {
            break;
        }
    }
    boost::system::error_code ignored;
    client->socket.close(ignored);
    clients_.remove(client);
}

void Console::broadcast(std::string_view text) {
    for (const auto& client : clients_) {
        if (client->pending.size() + text.size() > most_behind) {
            boost::system::error_code ignored;
            client->socket.close(ignored);  // its reader ends and takes it off the list
            continue;
        }
        client->pending.append(text);
        if (!std::exchange(client->writing, true)) {
            asio::co_spawn(
                guest_.get_executor(),
                [self = shared_from_this(), client] { return self->write(client); },
                asio::detached
            );
        }
    }
}

asio::awaitable<void> Console::write(std::shared_ptr<Client> client) {
    while (!client->pending.empty()) {
        const auto part = std::exchange(client->pending, {});
        const auto [failed, count] = co_await asio::async_write(client->socket, asio::buffer(part), as_value);
        if (failed) {
            break;
        }
    }
    client->writing = false;
}

void Console::keep(std::string_view text) {
    const auto path = folder_ / "console.log";
    if (log_ && logged_ + text.size() > log_bytes_ / 2) {
        std::error_code ignored;
        std::filesystem::rename(path, folder_ / "console.log.1", ignored);
        log_.reset();
    }
    if (!log_) {
        log_ = Fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
        if (!log_) {
            return;
        }
        struct stat info{};
        logged_ = ::fstat(log_.get(), &info) == 0 ? static_cast<std::size_t>(info.st_size) : 0;
    }
    // A log that cannot be written is no reason to hold the guest up.
    const auto written = ::write(log_.get(), text.data(), text.size());
    logged_ += written > 0 ? static_cast<std::size_t>(written) : 0;
}

}  // namespace vmm::qemu
