#pragma once

#include "vmm/app/ticket.h"
#include "vmm/base/files.h"
#include "vmm/domain/access.h"
#include "vmm/domain/session.h"
#include "vmm/http/service.h"
#include "vmm/json/value.h"
#include "vmm/proofs/capability.h"

#include <boost/asio/co_spawn.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vmm::http {

// A body that is still on its way.
class BodyReader {
public:
    BodyReader() = default;
    BodyReader(const BodyReader&) = delete;
    BodyReader& operator=(const BodyReader&) = delete;
    virtual ~BodyReader() = default;

    // Its length, when the client has told it.
    [[nodiscard]] virtual std::optional<std::uint64_t> length() const = 0;

    // Up to so many bytes; none at its end. The first call lets a client that asked for it go on. unavailable
    // "body-cut-off".
    virtual Task<std::size_t> read(char* to, std::size_t bytes) = 0;
};

// One request, read whole but for the body of a route that streams. Header names are lower case.
struct Request {
    Request() = default;

    std::string method;
    std::string target;  // as sent: path and query
    std::string path;    // without /v1 and query
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    std::optional<json::Value> json;  // the body, when it is JSON
    BodyReader* reader = nullptr;     // of a body that is not in `body`
    std::string peer;                 // the address it came from
    std::string request_id;
    std::map<std::string, std::string, std::less<>> parameters;  // from the route's pattern
    std::vector<std::pair<std::string, std::string>> query;
    domain::Caller caller;
    bool upgrade = false;     // asks for a WebSocket
    bool held_back = false;   // its source sends too much
    std::string rate_policy;  // for the RateLimit headers
    std::string rate_left;
    std::string auth;                              // signature, session or legacy, once it is known
    std::optional<domain::Session> session;        // that the request came in
    std::optional<proofs::Capability> capability;  // that came with it, verified
    app::Ticket ticket;                            // of a mutating request

    // Whether it may change something: a WebSocket lets its caller act, too.
    [[nodiscard]] bool changes() const { return upgrade || (method != "GET" && method != "HEAD"); }

    [[nodiscard]] const std::string* header(std::string_view name) const {
        const auto found = std::ranges::find(headers, name, &std::pair<std::string, std::string>::first);
        return found == headers.end() ? nullptr : &found->second;
    }
};

// A WebSocket that stands. Used on its connection's executor: one reads while one writes.
class WebSocket {
public:
    WebSocket() = default;
    WebSocket(const WebSocket&) = delete;
    WebSocket& operator=(const WebSocket&) = delete;
    virtual ~WebSocket() = default;

    // The next message. unavailable when the other side has gone, or close() was called.
    virtual Task<std::string> read() = 0;
    virtual Task<void> write(std::string message) = 0;
    // Says goodbye, with 1000 for the usual end and 1008 when the right to be here has ended.
    virtual asio::awaitable<void> close(std::uint16_t code, std::string reason) = 0;
    // Ends everything that waits for the other side.
    virtual void abort() = 0;
};

// A part of a file as an answer's body.
struct FilePart {
    Fd file;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
};

struct Reply {
    Reply() = default;

    int status = 200;
    std::string body;
    std::string content_type = "application/json";
    std::vector<std::pair<std::string, std::string>> headers;
    std::shared_ptr<FilePart> file;  // sent instead of `body`
    // Sent piece by piece instead of `body`, as they come; an empty one ends it, an error breaks it off.
    std::function<Task<std::string>()> pieces;
    // Goes on with the connection as a WebSocket, instead of a body; status 101.
    std::function<asio::awaitable<void>(WebSocket&)> upgrade;
    std::chrono::milliseconds hold{0};  // before it is sent; the connection ends with it
};

// Whether a request with this head goes to a route that reads its body itself.
bool streams(Request head);

// The whole way of a request through the service: route, caller, handler, problem. Never throws.
asio::awaitable<Reply> handle(Service& service, Request request);

// Runs a task of the application on its executor and comes back.
template <class T>
Task<T> on_application(const Service& service, Task<T> task) {
    co_return co_await asio::co_spawn(service.application, std::move(task), asio::use_awaitable);
}

}  // namespace vmm::http
