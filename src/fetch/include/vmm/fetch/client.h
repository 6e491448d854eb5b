#pragma once

#include "vmm/base/task.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace vmm::fetch {

// Where a service is: http://host[:port] or https://host[:port].
struct Origin {
    std::string host;
    std::uint16_t port = 80;
    bool secure = false;
    std::string ca_file = {};  // authorities trusted beside the system's own
};

// invalid.
Result<Origin> parse_origin(std::string_view url);

struct Request {
    Request() = default;

    std::string method = "GET";
    std::string target = "/";
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
};

struct Response {
    Response() = default;

    int status = 0;
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;
};

// One request on a connection of its own. unavailable when the service cannot be reached or breaks off,
// timed_out.
// `piece`, where given, gets the body of a 2xx answer as it comes, instead of `body`; then the limit is for
// each wait.
using Piece = std::function<void(std::string_view)>;
Task<Response> exchange(Origin origin, Request request, std::chrono::milliseconds limit, Piece piece = {});

}  // namespace vmm::fetch
