#pragma once

#include "vmm/base/progress.h"
#include "vmm/base/task.h"
#include "vmm/fetch/client.h"

#include <boost/asio/ip/address.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

// Bodies that do not fit into memory, in both directions.
namespace vmm::fetch {

struct Url {
    bool secure = false;  // https
    std::string host;
    std::uint16_t port = 80;
    std::string target = "/";
};

// http://… or https://…, without user and password. invalid, field "url".
Result<Url> parse_url(std::string_view text);

// What a download may do.
struct Rules {
    Rules() = default;
    std::function<bool(const asio::ip::address&)>
        admits;                                   // addresses that may be connected to; all when empty
    std::filesystem::path ca_file;                // trusted beside the system's own authorities
    std::chrono::milliseconds idle_limit{30000};  // between two pieces
    int most_redirects = 5;
};

// Whether an address is one of the public Internet: not loopback, private, link-local, shared, multicast or
// reserved.
bool is_public(const asio::ip::address& address);

// An answer whose body is read as it comes. Used on the executor on which it was opened.
class Download {
public:
    Download() = default;
    Download(const Download&) = delete;
    Download& operator=(const Download&) = delete;
    virtual ~Download() = default;

    // A GET with these headers, redirects followed, each against the rules. Any status below 500 is an
    // answer. unavailable, timed_out, invalid "url".
    static Task<std::unique_ptr<Download>>
    open(Url url, std::vector<std::pair<std::string, std::string>> headers, Rules rules);

    [[nodiscard]] virtual int status() const = 0;
    [[nodiscard]] virtual const std::map<std::string, std::string>& headers(
    ) const = 0;  // names in lower case

    // Up to so many bytes; none at the end.
    virtual Task<std::size_t> read(char* to, std::size_t bytes) = 0;
};

// A request whose body is a part of a file. The body is only sent once the service has asked for it, or said
// nothing for a second; an answer that comes before is the answer.
struct Upload {
    Upload() = default;
    Request request;  // without body
    int file = -1;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    ProgressView progress;  // may be null
};

Task<Response> send_file(Origin origin, Upload upload, std::chrono::milliseconds idle_limit);

}  // namespace vmm::fetch
