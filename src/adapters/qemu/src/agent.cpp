#include "agent.h"

#include "vmm/base/files.h"
#include "vmm/base/ids.h"
#include "vmm/base/text.h"
#include "vmm/json/write.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>

#include "socket_path.h"

namespace vmm::qemu {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t longest_line = 16 << 20;
constexpr auto answer_limit = 10s;
constexpr auto freeze_limit = 30s;
constexpr std::string_view refused = "agent-refused";

using json::list;
using json::text;

std::unexpected<Error> absent() {
    return fail(Error{Code::unavailable, "no agent in the guest answers"}
                    .with_slug("no-agent")
                    .with_hint("install qemu-guest-agent in the guest, or wait until it has booted"));
}

std::optional<std::int64_t> number(const json::Value* value) {
    const auto* found = value == nullptr ? nullptr : value->as<json::Number>();
    return found == nullptr ? std::nullopt : parse_number<std::int64_t>(found->text);
}

// What a guest says is shown to people: no control characters, not too much of it.
std::string shown(std::string_view said) {
    std::string out;
    for (const char c : said.substr(0, 200)) {
        out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
    }
    return out;
}

std::filesystem::path mark_of(const std::filesystem::path& socket) {
    return socket.parent_path() / "frozen";
}

bool is_local(std::string_view address) {
    return address.starts_with("127.") || address == "::1" || address.starts_with("fe80:");
}

std::vector<ports::GuestInterface> interfaces_in(const json::Value& said) {
    std::vector<ports::GuestInterface> out;
    const auto* all = said.as<json::List>();
    for (std::size_t i = 0; all != nullptr && i < std::min<std::size_t>(all->size(), 64); ++i) {
        const auto& one = (*all)[i];
        ports::GuestInterface found;
        found.name = shown(one.text_or("name", ""));
        found.mac = shown(lower(one.text_or("hardware-address", "")));
        const auto* member = one.find("ip-addresses");
        const auto* addresses = member == nullptr ? nullptr : member->as<json::List>();
        for (std::size_t j = 0; addresses != nullptr && j < std::min<std::size_t>(addresses->size(), 64);
             ++j) {
            const auto address = shown((*addresses)[j].text_or("ip-address", ""));
            if (!address.empty() && !is_local(address)) {
                found.addresses.push_back(address);
            }
        }
        if (found.name != "lo") {
            out.push_back(std::move(found));
        }
    }
    return out;
}

}  // namespace

Agent::Agent(asio::any_io_executor executor, std::filesystem::path socket)
    : executor_{executor}, path_{std::move(socket)}, socket_{executor} {
    std::error_code ignored;
    frozen_ = std::filesystem::exists(mark_of(path_), ignored);
}

void Agent::reset() {
    forget_freeze();
}

void Agent::close() {
    freezer_.reset();
    disconnect();
}

void Agent::forget_freeze() {
    std::error_code ignored;
    std::filesystem::remove(mark_of(path_), ignored);
    frozen_ = false;
}

void Agent::disconnect() {
    boost::system::error_code ignored;
    socket_.close(ignored);
    buffer_.clear();
    synced_ = false;
}

Task<void> Agent::send(std::string said) {
    const auto [failed, count] = co_await asio::async_write(socket_, asio::buffer(said), as_value);
    if (failed) {
        disconnect();
        co_return absent();
    }
    co_return Result<void>{};
}

Task<std::string> Agent::line(Instant until) {
    asio::steady_timer deadline{executor_, until};
    deadline.async_wait([weak = weak_from_this()](const boost::system::error_code& stopped) {
        if (const auto self = weak.lock(); self && !stopped) {
            self->disconnect();
        }
    });
    const auto [failed, count] =
        co_await asio::async_read_until(socket_, asio::dynamic_buffer(buffer_, longest_line), '\n', as_value);
    deadline.cancel();
    if (failed) {
        disconnect();
        co_return absent();
    }
    auto out = buffer_.substr(0, count);
    buffer_.erase(0, count);
    // guest-sync-delimited puts this byte before its answer.
    std::erase(out, '\xff');
    co_return out;
}

// Connects and finds the place in the conversation where nobody else's answers are left.
Task<void> Agent::connect(Instant until) {
    disconnect();
    const SocketPath name{path_};
    const asio::local::stream_protocol::endpoint endpoint{name.text()};
    const auto [failed] = co_await socket_.async_connect(endpoint, as_value);
    if (failed) {
        co_return absent();
    }
    std::array<std::uint8_t, 4> random{};
    fill_random(random);
    const auto mark = std::to_string((random[0] << 16 | random[1] << 8 | random[2]) + 1);
    CO_CHECK(co_await send("\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":" + mark + "}}\n")
    );
    while (true) {
        CO_TRY(const auto said, co_await line(until));
        const auto value = json::parse(said);
        const auto id = value ? number(value->find("return")) : std::nullopt;
        if (id && std::to_string(*id) == mark) {
            break;
        }
    }
    synced_ = true;
    co_return Result<void>{};
}

Task<json::Value> Agent::ask(std::string command, std::string arguments, std::chrono::milliseconds limit) {
    const auto self = shared_from_this();
    const auto turn = co_await turns_.take();
    const auto until = std::chrono::steady_clock::now() + limit;
    // Left by a service that was killed, or by a guest that was too slow to answer.
    if (frozen_) {
        CO_CHECK(co_await thaw_in_turn(until));
    }
    co_return co_await ask_in_turn(std::move(command), std::move(arguments), until);
}

Task<json::Value> Agent::ask_in_turn(std::string command, std::string arguments, Instant until) {
    if (!synced_) {
        CO_CHECK(co_await connect(until));
    }
    std::string said = R"({"execute":")" + command + '"';
    if (!arguments.empty()) {
        said.append(R"(,"arguments":)").append(arguments);
    }
    CO_CHECK(co_await send(said.append("}\n")));
    CO_TRY(const auto answer, co_await line(until));
    auto value = json::parse(answer);
    if (!value) {
        disconnect();
        co_return absent();
    }
    if (const auto* error = value->find("error")) {
        co_return fail(Error{
            Code::unavailable,
            "the guest's agent refused " + command + ": " + shown(error->text_or("desc", ""))
        }
                           .with_slug(refused));
    }
    if (auto* out = value->find("return")) {
        co_return *out;
    }
    disconnect();
    co_return absent();
}

Task<void> Agent::ping(std::chrono::milliseconds limit) {
    CO_CHECK(co_await ask("guest-ping", "", limit));
    co_return Result<void>{};
}

Task<ports::GuestFacts> Agent::facts() {
    ports::GuestFacts out;
    CO_TRY(const auto os, co_await ask("guest-get-osinfo", "", answer_limit));
    out.os = shown(os.text_or("pretty-name", os.text_or("name", "")));
    out.kernel = shown(os.text_or("kernel-release", ""));
    const auto name = co_await ask("guest-get-host-name", "", answer_limit);
    out.hostname = name ? shown(name->text_or("host-name", "")) : "";
    CO_TRY(const auto interfaces, co_await ask("guest-network-get-interfaces", "", answer_limit));
    out.interfaces = interfaces_in(interfaces);
    co_return out;
}

Task<std::int64_t> Agent::exec(std::vector<std::string> argv) {
    const std::vector<std::string> rest{argv.begin() + 1, argv.end()};
    CO_TRY(
        const auto said,
        co_await ask(
            "guest-exec",
            R"({"path":)" + text(argv.front()) + R"(,"arg":)" + list(rest) + R"(,"capture-output":false})",
            answer_limit
        )
    );
    const auto pid = number(said.find("pid"));
    if (!pid) {
        co_return absent();
    }
    co_return *pid;
}

Task<ports::GuestExit> Agent::exec_status(std::int64_t pid) {
    CO_TRY(
        const auto said,
        co_await ask("guest-exec-status", R"({"pid":)" + std::to_string(pid) + "}", answer_limit)
    );
    ports::GuestExit out;
    const auto* exited = said.find("exited");
    const auto* flag = exited == nullptr ? nullptr : exited->as<bool>();
    out.exited = flag != nullptr && *flag;
    if (const auto status = number(said.find("exitcode"))) {
        out.status = static_cast<int>(*status);
    }
    if (const auto signal = number(said.find("signal"))) {
        out.signal = static_cast<int>(*signal);
    }
    co_return out;
}

Task<std::int64_t> Agent::open(std::string path, std::string mode) {
    CO_TRY(
        const auto said,
        co_await ask(
            "guest-file-open", R"({"path":)" + text(path) + R"(,"mode":)" + text(mode) + "}", answer_limit
        )
    );
    const auto handle = number(&said);
    if (!handle) {
        co_return absent();
    }
    co_return *handle;
}

Task<std::string> Agent::read(std::int64_t handle, std::size_t bytes) {
    CO_TRY(
        const auto said,
        co_await ask(
            "guest-file-read",
            R"({"handle":)" + std::to_string(handle) + R"(,"count":)" + std::to_string(bytes) + "}",
            answer_limit
        )
    );
    auto data = from_base64(said.text_or("buf-b64", ""));
    if (!data || data->size() > bytes) {
        co_return fail(Error{Code::unavailable, "the guest's agent sent no base 64"}.with_slug(refused));
    }
    co_return *std::move(data);
}

Task<void> Agent::write(std::int64_t handle, std::string bytes) {
    while (!bytes.empty()) {
        CO_TRY(
            const auto said,
            co_await ask(
                "guest-file-write",
                R"({"handle":)" + std::to_string(handle) + R"(,"buf-b64":)" + text(to_base64(bytes)) + "}",
                answer_limit
            )
        );
        const auto count = number(said.find("count"));
        if (!count || *count <= 0 || static_cast<std::size_t>(*count) > bytes.size()) {
            co_return fail(Error{Code::unavailable, "the guest's agent wrote nothing"}.with_slug(refused));
        }
        bytes.erase(0, static_cast<std::size_t>(*count));
    }
    co_return Result<void>{};
}

Task<void> Agent::close(std::int64_t handle) {
    CO_CHECK(co_await ask("guest-file-close", R"({"handle":)" + std::to_string(handle) + "}", answer_limit));
    co_return Result<void>{};
}

Task<void> Agent::freeze() {
    const auto self = shared_from_this();
    auto turn = co_await turns_.take();
    const auto until = std::chrono::steady_clock::now() + freeze_limit;
    // One that is still frozen would refuse.
    if (frozen_) {
        CO_CHECK(co_await thaw_in_turn(until));
    }
    CO_CHECK(write_file(mark_of(path_), "", 0600));
    frozen_ = true;
    const auto done = co_await ask_in_turn("guest-fsfreeze-freeze", "", until);
    if (!done) {
        // Without an answer it may still come to it.
        if (done.error().slug() == refused) {
            forget_freeze();
        }
        co_return fail(done.error());
    }
    freezer_.emplace(std::move(turn));
    co_return Result<void>{};
}

Task<void> Agent::thaw() {
    const auto self = shared_from_this();
    if (!freezer_) {
        auto taken = co_await turns_.take();
        freezer_.emplace(std::move(taken));
    }
    const auto turn = *std::move(freezer_);
    freezer_.reset();
    if (frozen_) {
        CO_CHECK(co_await thaw_in_turn(std::chrono::steady_clock::now() + freeze_limit));
    }
    co_return Result<void>{};
}

Task<void> Agent::thaw_in_turn(Instant until) {
    const auto done = co_await ask_in_turn("guest-fsfreeze-thaw", "", until);
    // One that refuses would refuse again.
    if (done || done.error().slug() == refused) {
        forget_freeze();
    }
    if (!done) {
        co_return fail(done.error());
    }
    co_return Result<void>{};
}

Task<void> Agent::add_ssh_keys(std::string user, std::vector<std::string> keys) {
    CO_CHECK(co_await ask(
        "guest-ssh-add-authorized-keys",
        R"({"username":)" + text(user) + R"(,"keys":)" + list(keys) + "}",
        answer_limit
    ));
    co_return Result<void>{};
}

Task<void> Agent::shut_down() {
    // A guest that obeys does not answer.
    (void)co_await ask("guest-shutdown", R"({"mode":"powerdown"})", 1s);
    co_return Result<void>{};
}

}  // namespace vmm::qemu
