#pragma once

#include "vmm/app/ticket.h"
#include "vmm/domain/access.h"
#include "vmm/http/service.h"
#include "vmm/json/value.h"

#include <boost/asio/co_spawn.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vmm::http {

// One request, read whole. Header names are lower case.
struct Request {
    Request() = default;

    std::string method;
    std::string target;  // as sent: path and query
    std::string path;    // without /v1 and query
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    std::optional<json::Value> json;  // the body, when it is JSON
    std::string peer;                 // the address it came from
    std::string request_id;
    std::map<std::string, std::string, std::less<>> parameters;  // from the route's pattern
    std::vector<std::pair<std::string, std::string>> query;
    domain::Caller caller;
    app::Ticket ticket;  // of a mutating request
    bool unstored_ticket = false;

    [[nodiscard]] const std::string* header(std::string_view name) const {
        const auto found = std::ranges::find(headers, name, &std::pair<std::string, std::string>::first);
        return found == headers.end() ? nullptr : &found->second;
    }
};

struct Reply {
    Reply() = default;

    int status = 200;
    std::string body;
    std::string content_type = "application/json";
    std::vector<std::pair<std::string, std::string>> headers;
};

// The whole way of a request through the service: route, caller, handler, problem. Never throws.
asio::awaitable<Reply> handle(Service& service, Request request);

// Runs a task of the application on its executor and comes back.
template <class T>
Task<T> on_application(const Service& service, Task<T> task) {
    co_return co_await asio::co_spawn(service.application, std::move(task), asio::use_awaitable);
}

}  // namespace vmm::http
