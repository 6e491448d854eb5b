#pragma once

#include "vmm/base/slots.h"
#include "vmm/json/value.h"
#include "vmm/ports/guest_agent.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <filesystem>
#include <memory>
#include <string>

namespace vmm::qemu {

// The QEMU guest agent's protocol over a machine's agent.sock. Connects when it is first asked; after a
// missed deadline it begins anew, so that a late answer is never taken for another's. Keep it in a
// shared_ptr.
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
    Task<void> add_ssh_keys(std::string user, std::vector<std::string> keys) override;
    Task<void> shut_down() override;

    // Ends the connection and whoever waits on it.
    void disconnect();

private:
    Task<json::Value> ask(std::string command, std::string arguments, std::chrono::milliseconds limit);
    Task<void> connect(std::chrono::steady_clock::time_point until);
    Task<std::string> line(std::chrono::steady_clock::time_point until);
    Task<void> send(std::string text);

    asio::any_io_executor executor_;
    std::filesystem::path path_;
    asio::local::stream_protocol::socket socket_;
    std::string buffer_;
    Slots turns_{1};
    bool synced_ = false;
};

}  // namespace vmm::qemu
