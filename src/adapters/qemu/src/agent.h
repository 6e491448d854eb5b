#pragma once

#include "vmm/base/slots.h"
#include "vmm/json/value.h"
#include "vmm/ports/guest_agent.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace vmm::qemu {

// The QEMU guest agent's protocol over a machine's agent.sock. Connects when it is first asked; after a
// missed deadline it begins anew, so that a late answer is never taken for another's. Keep it in a
// shared_ptr.
//
// A freeze leaves the file "frozen" beside the socket until the guest has said that it is over, so that
// whoever takes the machine over knows of it.
class Agent final : public ports::GuestAgent, public std::enable_shared_from_this<Agent> {
public:
    Agent(asio::any_io_executor executor, std::filesystem::path socket);

    Task<void> ping(std::chrono::milliseconds limit) override;
    Task<ports::GuestFacts> facts() override;
    Task<std::int64_t> exec(std::vector<std::string> argv) override;
    Task<ports::GuestExit> exec_status(std::int64_t pid) override;
    Task<std::int64_t> open(std::string path, std::string mode) override;
    Task<std::string> read(std::int64_t handle, std::size_t bytes) override;
    Task<void> write(std::int64_t handle, std::string bytes) override;
    Task<void> close(std::int64_t handle) override;
    Task<void> freeze() override;
    Task<void> thaw() override;

    [[nodiscard]] bool frozen() const override { return frozen_; }

    Task<void> add_ssh_keys(std::string user, std::vector<std::string> keys) override;
    Task<void> shut_down() override;

    // The guest begins anew: no freeze outlives that.
    void reset();

    // The machine has ended, or is somebody else's to look after: ends the connection and whoever waits.
    void close();

private:
    using Instant = std::chrono::steady_clock::time_point;

    Task<json::Value> ask(std::string command, std::string arguments, std::chrono::milliseconds limit);
    Task<json::Value> ask_in_turn(std::string command, std::string arguments, Instant until);
    Task<void> thaw_in_turn(Instant until);
    void forget_freeze();
    void disconnect();
    Task<void> connect(Instant until);
    Task<std::string> line(Instant until);
    Task<void> send(std::string text);

    asio::any_io_executor executor_;
    std::filesystem::path path_;
    asio::local::stream_protocol::socket socket_;
    std::string buffer_;
    bool synced_ = false;
    bool frozen_ = false;
    Slots turns_{1};
    std::optional<Slots::Held> freezer_;  // the turn of whoever has frozen the guest, until it thaws it
};

}  // namespace vmm::qemu
