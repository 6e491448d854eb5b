#include "vmm/app/guests.h"

#include "vmm/app/networks.h"
#include "vmm/base/ids.h"
#include "vmm/base/text.h"

#include <algorithm>

namespace vmm::app {
namespace {

using domain::Action;
using namespace std::chrono_literals;

constexpr std::size_t piece_bytes = 48 << 10;
constexpr auto longest_pause = 200ms;
constexpr auto look_every = 250ms;
constexpr int ticks_for_health = 4;

// Runs the program in a session of its own, so that all of it can be ended; its output goes into files that
// are read while they grow.
constexpr std::string_view wrapper =
    R"(b=$1; shift; i=/dev/null; [ -e "$b.in" ] && i=$b.in; exec setsid "$@" <"$i" >"$b.out" 2>"$b.err")";

std::vector<std::string> shell(std::string_view script, std::vector<std::string> words) {
    std::vector<std::string> argv{"/bin/sh", "-c", std::string{script}, "sh"};
    argv.insert(argv.end(), words.begin(), words.end());
    return argv;
}

Result<void> check_path(const std::string& path) {
    const bool usable = path.starts_with('/') && path.size() <= 4096 && !path.ends_with('/') &&
                        std::ranges::none_of(path, [](char c) { return c == '\0' || c == '\n'; });
    return usable
               ? Result<void>{}
               : invalid("path", "expected the absolute path of a file in the guest, found " + quote(path));
}

}  // namespace

Exec::Exec(World& world, std::string vm, std::shared_ptr<ports::GuestAgent> agent, ExecOrder order)
    : world_{world},
      vm_{std::move(vm)},
      agent_{std::move(agent)},
      order_{std::move(order)},
      base_{"/run/vmm-exec-" + random_text(10)},
      until_{std::chrono::steady_clock::now() + std::chrono::seconds{order_.timeout_s}} {}

// Whoever read it is gone, or it is over: what is left of it goes.
Exec::~Exec() {
    if (pid_ == 0 || world_.stopping) {
        return;
    }
    const auto kill = over_ ? std::string{} : std::to_string(pid_);
    world_.jobs.spawn(
        vm_ + " end of exec",
        [](std::shared_ptr<ports::GuestAgent> agent,
           std::string pid,
           std::string base,
           std::int64_t out,
           std::int64_t err) -> asio::awaitable<void> {
            (void)co_await agent->close(out);
            (void)co_await agent->close(err);
            auto argv = shell(
                R"([ -n "$2" ] && kill -KILL "-$2"; rm -f "$1.in" "$1.out" "$1.err")",
                std::vector<std::string>{base, pid}
            );
            (void)co_await agent->exec(std::move(argv));
        }(agent_, kill, base_, out_, err_)
    );
}

Task<void> Exec::start() {
    const auto self = shared_from_this();
    if (!order_.input.empty()) {
        CO_TRY(const auto handle, co_await agent_->open(base_ + ".in", "w"));
        CO_CHECK(co_await agent_->write(handle, std::exchange(order_.input, {})));
        CO_CHECK(co_await agent_->close(handle));
    }
    // There before the program is, so that they can be opened at once.
    for (auto* handle : {&out_, &err_}) {
        const auto name = base_ + (handle == &out_ ? ".out" : ".err");
        CO_TRY(const auto made, co_await agent_->open(name, "w"));
        CO_CHECK(co_await agent_->close(made));
        CO_TRY(*handle, co_await agent_->open(name, "r"));
    }
    std::vector<std::string> words{base_};
    words.insert(words.end(), order_.argv.begin(), order_.argv.end());
    auto argv = shell(wrapper, std::move(words));
    CO_TRY(pid_, co_await agent_->exec(std::move(argv)));
    co_return Result<void>{};
}

Task<std::optional<ExecPiece>> Exec::read(std::int64_t handle, ExecPiece::Kind kind) {
    CO_TRY(auto data, co_await agent_->read(handle, piece_bytes));
    if (data.empty()) {
        co_return std::optional<ExecPiece>{};
    }
    ExecPiece piece;
    piece.kind = kind;
    piece.data = std::move(data);
    co_return std::optional{std::move(piece)};
}

Task<ExecPiece> Exec::next() {
    const auto self = shared_from_this();
    while (true) {
        // Asked before its output is read, so that nothing comes after the last look.
        const bool ended = exit_ && exit_->exited;
        CO_TRY(auto output, co_await read(out_, ExecPiece::Kind::output));
        if (output) {
            pause_ = 10ms;
            co_return *std::move(output);
        }
        CO_TRY(auto errors, co_await read(err_, ExecPiece::Kind::errors));
        if (errors) {
            pause_ = 10ms;
            co_return *std::move(errors);
        }
        if (ended) {
            over_ = true;
            ExecPiece piece;
            piece.status = timed_out_ ? std::nullopt : exit_->status;
            piece.signal = exit_->signal;
            piece.timed_out = timed_out_;
            co_return piece;
        }
        CO_TRY(exit_, co_await agent_->exec_status(pid_));
        if (exit_->exited) {
            continue;
        }
        if (!timed_out_ && std::chrono::steady_clock::now() > until_) {
            timed_out_ = true;
            auto kill = shell(R"(kill -KILL "-$1")", std::vector<std::string>{std::to_string(pid_)});
            CO_CHECK(co_await agent_->exec(std::move(kill)));
        }
        co_await pause_for(pause_);
        pause_ = std::min<std::chrono::milliseconds>(pause_ * 2, longest_pause);
    }
}

GuestFile::~GuestFile() {
    if (world_.stopping) {
        return;
    }
    world_.jobs.spawn(
        "close a guest's file",
        [](std::shared_ptr<ports::GuestAgent> agent, std::int64_t handle) -> asio::awaitable<void> {
            (void)co_await agent->close(handle);
        }(agent_, handle_)
    );
}

Task<std::string> GuestFile::next() {
    co_return co_await agent_->read(handle_, piece_bytes);
}

Result<std::shared_ptr<ports::GuestAgent>>
Guests::agent(const domain::Caller& caller, Action action, const std::string& id) const {
    TRY(const auto machine, fleet_.find(caller, action, id));
    if (!machine->instance() || machine->vm().status != domain::Status::running) {
        return fail(Error{Code::conflict, "the machine is " + std::string{name(machine->vm().status)}}
                        .with_slug("machine-not-running")
                        .with_hint("start it first"));
    }
    return machine->instance()->agent();
}

Task<std::shared_ptr<Exec>> Guests::exec(domain::Caller caller, std::string id, ExecOrder order) {
    CO_TRY(auto found, agent(caller, Action::operate, id));
    auto out = std::make_shared<Exec>(world_, id, std::move(found), std::move(order));
    CO_CHECK(co_await out->start());
    co_return out;
}

Task<void> Guests::push(domain::Caller caller, std::string id, std::string path, std::string bytes) {
    CO_CHECK(check_path(path));
    CO_TRY(const auto found, agent(caller, Action::operate, id));
    CO_TRY(const auto handle, co_await found->open(path, "w"));
    Result<void> written;
    for (std::size_t at = 0; written && at < bytes.size(); at += piece_bytes) {
        written = co_await found->write(handle, bytes.substr(at, piece_bytes));
    }
    auto closed = co_await found->close(handle);
    co_return written ? std::move(closed) : std::move(written);
}

Task<std::shared_ptr<GuestFile>> Guests::pull(domain::Caller caller, std::string id, std::string path) {
    CO_CHECK(check_path(path));
    CO_TRY(auto found, agent(caller, Action::operate, id));
    CO_TRY(const auto handle, co_await found->open(path, "r"));
    co_return std::make_shared<GuestFile>(world_, std::move(found), handle);
}

Task<void>
Guests::add_ssh_keys(domain::Caller caller, std::string id, std::string user, std::vector<std::string> keys) {
    if (keys.empty()) {
        co_return invalid("keys", "expected at least one key");
    }
    CO_CHECK(check_ssh_keys("keys", keys));
    CO_TRY(const auto found, agent(caller, Action::operate, id));
    co_return co_await found->add_ssh_keys(std::move(user), std::move(keys));
}

Task<ports::GuestFacts> Guests::facts(domain::Caller caller, std::string id) {
    CO_TRY(const auto found, agent(caller, Action::view, id));
    co_return co_await found->facts();
}

Task<ports::Seed> Guests::seed_at(std::string address, std::string what) {
    const auto id = world_.networks->machine_at(address);
    const auto machine = fleet_.present(id);
    if (!machine) {
        co_return fail(Code::not_found, "no machine has this address");
    }
    (*machine)->asked_for_metadata(address, what);
    co_return (*machine)->seed();
}

asio::awaitable<void> Guests::check_health(std::shared_ptr<Machine> machine, domain::HealthCheck check) {
    const auto id = machine->vm().id;
    ExecOrder order;
    order.argv = {"/bin/sh", "-c", check.command};
    order.timeout_s = check.timeout_s;
    const auto instance = machine->instance();
    bool good = false;
    std::string why = "no agent in the guest answers";
    if (instance) {
        const auto run = std::make_shared<Exec>(world_, id, instance->agent(), std::move(order));
        auto running = co_await run->start();
        while (running) {
            const auto piece = co_await run->next();
            if (!piece || piece->kind == ExecPiece::Kind::ended) {
                good = piece && piece->status == 0;
                why = piece && piece->timed_out ? "the check took too long"
                      : piece && piece->status  ? "the check ended with " + std::to_string(*piece->status)
                                                : why;
                break;
            }
        }
    }
    auto& round = rounds_[id];
    round.running = false;
    round.next = std::chrono::steady_clock::now() + std::chrono::seconds{check.interval_s};
    round.failures = good ? 0 : round.failures + 1;
    if (good) {
        machine->set_health("healthy");
    } else if (round.failures >= check.retries) {
        machine->set_health("unhealthy: " + why);
    }
}

void Guests::look_after_health() {
    const auto at = std::chrono::steady_clock::now();
    std::set<std::string> checked;
    for (const auto& machine : fleet_.all()) {
        const auto& vm = machine->vm();
        if (vm.status != domain::Status::running || !vm.boot_completed_at ||
            !vm.formfile.contains("HEALTHCHECK")) {
            continue;
        }
        const auto formfile = world_.seeds.read_formfile(vm.formfile);
        if (!formfile || !formfile->health) {
            continue;
        }
        checked.insert(vm.id);
        auto& round = rounds_[vm.id];
        if (!round.running && at >= round.next) {
            round.running = true;
            world_.jobs.spawn(vm.id + " health", check_health(machine, *formfile->health));
        }
    }
    std::erase_if(rounds_, [&checked](const auto& each) {
        return !checked.contains(each.first) && !each.second.running;
    });
}

asio::awaitable<void> Guests::watch() {
    for (int tick = 0;; tick = (tick + 1) % ticks_for_health) {
        co_await pause_for(look_every);
        for (const auto& machine : fleet_.all()) {
            machine->look_at_boot();
        }
        if (tick == 0) {
            look_after_health();
        }
    }
}

}  // namespace vmm::app
