#include "monitor.h"

#include "vmm/base/files.h"
#include "vmm/base/text.h"
#include "vmm/json/write.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <spdlog/spdlog.h>

#include <sys/socket.h>

#include <array>
#include <cstring>

#include "socket_path.h"

namespace vmm::qemu {
namespace {

constexpr std::size_t longest_line = 4 << 20;
constexpr std::int64_t greeting_id = 0;

std::unexpected<Error> gone() {
    return fail(
        Error{Code::unavailable, "the connection to QEMU's monitor is closed"}.with_slug("monitor-gone")
    );
}

}  // namespace

QmpLine read_qmp_line(std::string_view line) {
    QmpLine out;
    const auto value = json::parse(line);
    if (!value || value->as<json::Object>() == nullptr) {
        return out;
    }
    if (const auto* id = value->find("id")) {
        const auto* number = id->as<json::Number>();
        out.id = number == nullptr ? 0 : parse_number<std::int64_t>(number->text).value_or(0);
    }
    if (value->find("QMP") != nullptr) {
        out.kind = QmpLine::Kind::greeting;
    } else if (const auto* result = value->find("return")) {
        out.kind = QmpLine::Kind::answer;
        out.data = *result;
    } else if (const auto* error = value->find("error")) {
        out.kind = QmpLine::Kind::answer;
        out.error = error->text_or("desc", "an error without a description");
    } else if (value->find("event") != nullptr) {
        out.kind = QmpLine::Kind::event;
        out.event = value->text_or("event", "");
        if (const auto* data = value->find("data")) {
            out.data = *data;
        }
    }
    return out;
}

Monitor::Monitor(asio::any_io_executor executor, OnEvent on_event)
    : socket_{std::move(executor)}, on_event_{std::move(on_event)} {}

Task<std::shared_ptr<Monitor>>
Monitor::connect(std::filesystem::path socket, OnEvent on_event, std::chrono::milliseconds limit) {
    const auto executor = co_await asio::this_coro::executor;
    auto monitor = std::make_shared<Monitor>(executor, std::move(on_event));
    const SocketPath name{socket};
    const asio::local::stream_protocol::endpoint endpoint{name.text()};
    const auto [failed] = co_await monitor->socket_.async_connect(endpoint, as_value);
    if (failed) {
        co_return fail(Code::unavailable, "QEMU's monitor cannot be reached: " + failed.message());
    }
    monitor->open_ = true;
    CO_CHECK(co_await monitor->wait_for_greeting(limit));
    CO_CHECK(co_await monitor->execute("qmp_capabilities", "", limit));
    co_return monitor;
}

Task<void> Monitor::wait_for_greeting(std::chrono::milliseconds limit) {
    auto waiter = std::make_shared<Waiter>(socket_.get_executor());
    waiter->timer.expires_after(limit);
    waiting_.emplace(greeting_id, waiter);
    // Not in a Group: it holds its own share of the monitor and ends when the socket closes.
    asio::co_spawn(
        socket_.get_executor(), [self = shared_from_this()] { return self->read(); }, asio::detached
    );
    co_await waiter->timer.async_wait(as_value);
    waiting_.erase(greeting_id);
    if (!waiter->answer) {
        close();
        co_return std::unexpected{waiter->answer.error()};
    }
    co_return Result<void>{};
}

Task<json::Value>
Monitor::execute(std::string command, std::string arguments, std::chrono::milliseconds limit) {
    if (!open_) {
        co_return gone();
    }
    const auto self = shared_from_this();
    const auto id = ++last_id_;
    std::string line = R"({"execute":")" + command + '"';
    if (!arguments.empty()) {
        line.append(R"(,"arguments":)").append(arguments);
    }
    line.append(R"(,"id":)").append(std::to_string(id)).append("}\n");
    waiting_.emplace(id, std::make_shared<Waiter>(socket_.get_executor()));
    const auto [failed, count] = co_await asio::async_write(socket_, asio::buffer(line), as_value);
    if (failed) {
        waiting_.erase(id);
        co_return gone();
    }
    co_return co_await answer_to(id, limit, std::move(command));
}

Task<void> Monitor::give(std::string name, int descriptor, std::chrono::milliseconds limit) {
    if (!open_) {
        co_return gone();
    }
    const auto self = shared_from_this();
    const auto id = ++last_id_;
    std::string line = R"({"execute":"getfd","arguments":{"fdname":)";
    json::append_text(line, name);
    line.append(R"(},"id":)").append(std::to_string(id)).append("}\n");
    iovec part{line.data(), line.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    auto* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    waiting_.emplace(id, std::make_shared<Waiter>(socket_.get_executor()));
    if (::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL) != static_cast<ssize_t>(line.size())) {
        waiting_.erase(id);
        co_return fail(os_error("giving QEMU a descriptor"));
    }
    CO_CHECK(co_await answer_to(id, limit, "getfd"));
    co_return Result<void>{};
}

Task<json::Value> Monitor::answer_to(std::int64_t id, std::chrono::milliseconds limit, std::string command) {
    const auto self = shared_from_this();
    const auto waiter = waiting_.at(id);
    if (waiter->timer.expiry() != asio::steady_timer::time_point::min()) {
        waiter->timer.expires_after(limit);
        co_await waiter->timer.async_wait(as_value);
    }
    waiting_.erase(id);
    if (!waiter->answer) {
        auto error = waiter->answer.error();
        co_return std::unexpected{std::move(error).while_doing("QEMU's " + command)};
    }
    co_return std::move(waiter->answer);
}

void Monitor::close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
    open_ = false;
    for (auto& [id, waiter] : waiting_) {
        waiter->answer = gone();
        waiter->timer.expires_at(asio::steady_timer::time_point::min());
    }
}

asio::awaitable<void> Monitor::read() {
    std::string buffer;
    while (open_) {
        const auto [failed, count] = co_await asio::async_read_until(
            socket_, asio::dynamic_buffer(buffer, longest_line), '\n', as_value
        );
        if (failed) {
            break;
        }
        const std::string line = buffer.substr(0, count);
        buffer.erase(0, count);
        take(line);
    }
    close();
}

void Monitor::take(const std::string& line) {
    auto got = read_qmp_line(line);
    if (got.kind == QmpLine::Kind::event) {
        on_event_(got.event, got.data);
        return;
    }
    if (got.kind == QmpLine::Kind::junk) {
        spdlog::warn("QEMU's monitor sent something that is no QMP line={}", quote(line));
        return;
    }
    const auto waiter = waiting_.find(got.kind == QmpLine::Kind::greeting ? greeting_id : got.id);
    if (waiter == waiting_.end()) {
        return;  // an answer that came after its deadline
    }
    if (got.error.empty()) {
        waiter->second->answer = std::move(got.data);
    } else {
        waiter->second->answer =
            fail(Error{Code::unavailable, std::move(got.error)}.with_slug("qemu-refused"));
    }
    waiter->second->timer.expires_at(asio::steady_timer::time_point::min());
}

}  // namespace vmm::qemu
