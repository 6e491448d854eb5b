#include "vmm/base/group.h"
#include "vmm/base/text.h"

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <spdlog/spdlog.h>

#include <array>

#include "caller.h"
#include "handlers.h"
#include "reply.h"

// A machine's console over a WebSocket.
namespace vmm::http {
namespace {

using namespace std::chrono_literals;
using Local = asio::local::stream_protocol::socket;

constexpr auto look_again_after = 250ms;
constexpr std::uint16_t usual_end = 1000;
constexpr std::uint16_t right_ended = 1008;

// What the caller's right rests on, kept for as long as the stream is open.
struct Holder {
    domain::Caller caller;
    std::string session;  // id, or empty
    std::optional<proofs::Capability> capability;
    std::string vm;
};

// Why the holder may not be here any more; nothing while they may.
std::optional<std::string> ended(const Service& service, const Holder& holder) {
    const auto at = now();
    if (!service.accounts.active(holder.caller.address)) {
        return "the account is suspended or gone";
    }
    if (!holder.session.empty() && !service.sessions.open(holder.session, at)) {
        return "the session has ended";
    }
    if (holder.capability &&
        (holder.capability->expires * 1000 <= at.ms || !service.revocations.check(*holder.capability))) {
        return "the capability has ended";
    }
    const auto vm = service.world.registry.find(holder.vm);
    if (!vm) {
        return "the machine is gone";
    }
    auto caller = holder.caller;
    caller.administrator = service.accounts.administrator(caller.address);
    if (!service.permissions.may(caller, domain::Action::operate, *vm)) {
        return "the role that this needs has ended";
    }
    return std::nullopt;
}

// One open console. All of it runs on the connection's thread.
class Stream : public std::enable_shared_from_this<Stream> {
public:
    Stream(Service& service, Holder holder, WebSocket& socket, const asio::any_io_executor& executor)
        : service_{service},
          holder_{std::move(holder)},
          socket_{socket},
          guest_{executor},
          tasks_{executor} {}

    asio::awaitable<void> run() {
        const auto path = service_.world.settings.vm_dir / holder_.vm / "console.sock";
        const auto [failed] = co_await guest_.async_connect({path.string()}, as_value);
        if (failed) {
            co_await socket_.close(right_ended, "the console cannot be reached");
            co_return;
        }
        tasks_.spawn("console out", guest_to_client());
        tasks_.spawn("console watch", watch());
        co_await client_to_guest();
        finish(usual_end, "");
        tasks_.spawn("console goodbye", say_goodbye());
        // One who does not read may hold a write, and with it the farewell.
        while (!co_await tasks_.drained(1s)) {
            socket_.abort();
        }
    }

private:
    asio::awaitable<void> client_to_guest() {
        while (!over_) {
            const auto message = co_await socket_.read();
            if (!message) {
                co_return;
            }
            const auto [failed, count] = co_await asio::async_write(guest_, asio::buffer(*message), as_value);
            if (failed) {
                co_return;
            }
        }
    }

    asio::awaitable<void> guest_to_client() {
        std::array<char, 16384> block{};
        while (!over_) {
            const auto [failed, count] = co_await guest_.async_read_some(asio::buffer(block), as_value);
            std::string message{block.data(), count};
            if (failed || !co_await socket_.write(std::move(message))) {
                break;
            }
        }
        // The guest has gone; closing wakes the reader.
        if (!over_) {
            finish(usual_end, "the machine has ended");
            co_await say_goodbye();
        }
    }

    asio::awaitable<void> watch() {
        while (!over_) {
            co_await pause_for(look_again_after);
            if (const auto why = over_ ? std::nullopt : ended(service_, holder_)) {
                spdlog::info(
                    "a console is closed vm={} address={} reason=\"{}\"",
                    holder_.vm,
                    holder_.caller.address.text(),
                    *why
                );
                finish(right_ended, *why);
                co_await say_goodbye();
            }
        }
    }

    // Once: closing waits for the other side.
    asio::awaitable<void> say_goodbye() {
        if (!std::exchange(said_, true)) {
            co_await socket_.close(code_, reason_);
        }
    }

    void finish(std::uint16_t code, std::string reason) {
        if (over_) {
            return;
        }
        over_ = true;
        code_ = code;
        reason_ = std::move(reason);
        boost::system::error_code ignored;
        guest_.close(ignored);
    }

    Service& service_;
    Holder holder_;
    WebSocket& socket_;
    Local guest_;
    Group tasks_;
    bool over_ = false;
    bool said_ = false;
    std::uint16_t code_ = usual_end;
    std::string reason_;
};

}  // namespace

Task<Reply> open_console(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    if (!request.upgrade) {
        co_return fail(Error{Code::malformed, "the console is a WebSocket"}
                           .with_slug("websocket-required")
                           .with_hint("ask with the headers Upgrade: websocket and Connection: Upgrade"));
    }
    Holder holder{request.caller, "", request.capability, request.parameters.at("id")};
    if (request.session) {
        holder.session = request.session->id;
    }
    const auto vm = service.world.registry.find(holder.vm);
    if (!vm || !domain::live(vm->status)) {
        co_return fail(Error{Code::conflict, "the machine does not run"}.with_slug("not-running"));
    }
    Reply reply;
    reply.status = 101;
    reply.upgrade = [&service, holder](WebSocket& socket) -> asio::awaitable<void> {
        return [](Service& with, Holder who, WebSocket& over) -> asio::awaitable<void> {
            const auto stream =
                std::make_shared<Stream>(with, std::move(who), over, co_await asio::this_coro::executor);
            co_await stream->run();
        }(service, holder, socket);
    };
    co_return reply;
}

}  // namespace vmm::http
