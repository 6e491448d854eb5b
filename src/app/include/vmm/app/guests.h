#pragma once

#include "vmm/app/fleet.h"
#include "vmm/ports/guest_agent.h"

#include <memory>
#include <string>
#include <vector>

namespace vmm::app {

struct ExecOrder {
    std::vector<std::string> argv;
    std::string input;
    std::int64_t timeout_s = 60;
};

// A piece of what a program in a guest says, or how it ended.
struct ExecPiece {
    enum class Kind : std::uint8_t { output, errors, ended };
    ExecPiece() = default;
    Kind kind = Kind::ended;
    std::string data;
    std::optional<int> status;  // its exit status; none when a signal or the time limit ended it
    std::optional<int> signal;
    bool timed_out = false;
};

// A program that runs in a guest. Ends it, and removes its traces, when it is destroyed before the program is
// over. Used on the application's executor.
class Exec : public std::enable_shared_from_this<Exec> {
public:
    Exec(World& world, std::string vm, std::shared_ptr<ports::GuestAgent> agent, ExecOrder order);
    Exec(const Exec&) = delete;
    Exec& operator=(const Exec&) = delete;
    ~Exec();

    Task<void> start();

    // The next piece; the last one says how it ended.
    Task<ExecPiece> next();

private:
    Task<std::optional<ExecPiece>> read(std::int64_t handle, ExecPiece::Kind kind);

    World& world_;
    std::string vm_;
    std::shared_ptr<ports::GuestAgent> agent_;
    ExecOrder order_;
    std::string base_;  // of its files in the guest
    std::int64_t pid_ = 0;
    std::int64_t out_ = 0;
    std::int64_t err_ = 0;
    std::chrono::steady_clock::time_point until_;
    std::chrono::milliseconds pause_{10};
    std::optional<ports::GuestExit> exit_;
    bool timed_out_ = false;
    bool over_ = false;
};

// A file of a guest, read piece by piece.
class GuestFile {
public:
    GuestFile(World& world, std::shared_ptr<ports::GuestAgent> agent, std::int64_t handle)
        : world_{world}, agent_{std::move(agent)}, handle_{handle} {}

    GuestFile(const GuestFile&) = delete;
    GuestFile& operator=(const GuestFile&) = delete;
    ~GuestFile();

    // Empty at its end.
    Task<std::string> next();

private:
    World& world_;
    std::shared_ptr<ports::GuestAgent> agent_;
    std::int64_t handle_;
};

// Why a machine is as it is, and what to do about it.
struct Explanation {
    std::string status;
    std::string stage;  // of a booting or booted guest; or empty
    std::optional<Timestamp> since;
    std::string waiting_for;
    std::string last_seen;
    std::string last_console_line;
    std::vector<std::string> advice;
    std::vector<std::string> problems;
    std::string agent;  // "answers", "silent", "frozen" or "not asked"
};

// What callers may do inside guests. conflict "machine-not-running", unavailable "no-agent".
class Guests {
public:
    Guests(World& world, Fleet& fleet) : world_{world}, fleet_{fleet} {}

    Task<std::shared_ptr<Exec>> exec(domain::Caller caller, std::string id, ExecOrder order);
    Task<void> push(domain::Caller caller, std::string id, std::string path, std::string bytes);
    Task<std::shared_ptr<GuestFile>> pull(domain::Caller caller, std::string id, std::string path);
    Task<void>
    add_ssh_keys(domain::Caller caller, std::string id, std::string user, std::vector<std::string> keys);
    Task<ports::GuestFacts> facts(domain::Caller caller, std::string id);
    Task<Explanation> explain(domain::Caller caller, std::string id);

    // What the machine at this address of a network is told of itself; not_found for others'. `what` is what
    // it asked for.
    Task<ports::Seed> seed_at(std::string address, std::string what);

    // Looks after booting guests and runs HEALTHCHECKs; goes on until it is destroyed.
    asio::awaitable<void> watch();

private:
    Result<std::shared_ptr<ports::GuestAgent>>
    agent(const domain::Caller& caller, domain::Action action, const std::string& id) const;
    void look_after_health();
    asio::awaitable<void> check_health(std::shared_ptr<Machine> machine, domain::HealthCheck check);

    struct Round {
        std::chrono::steady_clock::time_point next;
        std::uint32_t failures = 0;
        bool running = false;
    };

    World& world_;
    Fleet& fleet_;
    std::map<std::string, Round> rounds_;
};

}  // namespace vmm::app
