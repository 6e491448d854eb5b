#include "front.h"

#include "vmm/base/text.h"

#include <boost/asio/ip/address.hpp>

#include <algorithm>

#include "legacy.h"

namespace vmm::http {
namespace {

using namespace std::chrono_literals;

constexpr auto hold = 1s;  // of an answer to a source that fails too often

bool trusted(const Service& service, const std::string& address) {
    boost::system::error_code wrong;
    const auto parsed = asio::ip::make_address(address, wrong);
    return !wrong && std::ranges::any_of(service.trusted_proxies, [&parsed](const Network& network) {
        return network.contains(parsed);
    });
}

// Guests on QEMU's user network come from the loopback address, too; what they send must not lock out whoever
// works on the host itself.
bool local(const Request& request) {
    boost::system::error_code wrong;
    const auto address = asio::ip::make_address(request.peer, wrong);
    return !wrong && address.is_loopback();
}

// What a guest reports has a count of its own.
std::string source_key(const Request& request) {
    const bool report = request.target == "/vm/boot_complete" || request.target == "/v1/vm/boot_complete";
    return (report ? "guest " : "") + source_of(request.peer);
}

// The headers of draft-ietf-httpapi-ratelimit-headers: the policy, and what is left of it.
void tell_rate(Request& request, std::string_view name, const Rate& rate, const Buckets::Verdict& verdict) {
    const auto window = std::max<std::int64_t>(1, static_cast<std::int64_t>(rate.burst / rate.per_second));
    const auto title = "\"" + std::string{name} + "\"";
    request.rate_policy = title + ";q=" + std::to_string(static_cast<std::int64_t>(rate.burst)) +
                          ";w=" + std::to_string(window);
    request.rate_left = title + ";r=" + std::to_string(verdict.remaining) +
                        ";t=" + std::to_string(std::max<std::int64_t>(verdict.retry_after_s, 1));
}

std::unexpected<Error> refuse(std::string_view slug, std::string why, const Buckets::Verdict& verdict) {
    return fail(Error{Code::exhausted, std::move(why)}.with_slug(slug).with_retry_after(
        static_cast<int>(verdict.retry_after_s)
    ));
}

std::string per_second(const Rate& rate) {
    return std::to_string(static_cast<std::int64_t>(rate.per_second)) + " a second, " +
           std::to_string(static_cast<std::int64_t>(rate.burst)) + " at once";
}

const std::string* allowed_origin(const Service& service, const Request& request) {
    const auto* origin = request.header("origin");
    const bool allowed =
        origin != nullptr && std::ranges::find(service.cors_origins, *origin) != service.cors_origins.end();
    return allowed ? origin : nullptr;
}

}  // namespace

std::string client_of(const Service& service, const Request& request) {
    const auto* forwarded = request.header("x-forwarded-for");
    if (forwarded == nullptr || !trusted(service, request.peer)) {
        return request.peer;
    }
    // From the right: what a proxy has added is true as far as the proxies are trusted.
    auto hops = split(*forwarded, ',');
    auto client = request.peer;
    for (; !hops.empty(); hops.pop_back()) {
        const auto hop = std::string{trim(hops.back())};
        boost::system::error_code wrong;
        (void)asio::ip::make_address(hop, wrong);
        if (wrong) {
            break;
        }
        client = hop;
        if (!trusted(service, hop)) {
            break;
        }
    }
    return client;
}

Result<void> check_source(Service& service, Request& request) {
    auto& limits = *service.limits;
    const auto at = std::chrono::steady_clock::now();
    if (!limits.source.limits() && !limits.failures.limits()) {
        return {};
    }
    const auto source = source_key(request);
    if (const auto verdict = limits.source.take(source, at); !verdict.allowed) {
        tell_rate(request, "source", limits.source.rate(), verdict);
        request.held_back = true;
        return refuse(
            "too-many-requests",
            "your address sends more requests than are answered: " + per_second(limits.source.rate()),
            verdict
        );
    }
    if (const auto verdict = limits.failures.look(source, at); !verdict.allowed && !local(request)) {
        tell_rate(request, "failures", limits.failures.rate(), verdict);
        request.held_back = true;
        return refuse(
            "too-many-failures",
            "too many requests of your address were not signed by anybody known: " +
                per_second(limits.failures.rate()),
            verdict
        );
    }
    return {};
}

Result<void> check_rate(Service& service, Request& request) {
    auto& buckets = service.limits->address;
    if (!buckets.limits()) {
        return {};
    }
    const auto& bytes = request.caller.address.bytes();
    const auto verdict = buckets.take(
        {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, std::chrono::steady_clock::now()
    );
    tell_rate(request, "address", buckets.rate(), verdict);
    if (verdict.allowed) {
        return {};
    }
    return refuse(
        "too-many-requests",
        "your account sends more requests than are answered: " + per_second(buckets.rate()),
        verdict
    );
}

void count_failure(Service& service, const Request& request, Reply& reply) {
    if (request.held_back) {
        reply.hold = hold;
        return;
    }
    const bool unnamed = request.caller.address == domain::Address{} &&
                         (reply.status == 400 || reply.status == 401 || reply.status == 404);
    if (unnamed) {
        service.limits->failures.charge(source_key(request), std::chrono::steady_clock::now());
    }
}

std::optional<Reply> preflight(const Service& service, const Request& request) {
    if (request.method != "OPTIONS" || request.header("access-control-request-method") == nullptr ||
        allowed_origin(service, request) == nullptr) {
        return std::nullopt;
    }
    Reply reply;
    reply.status = 204;
    reply.headers.emplace_back("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE");
    reply.headers.emplace_back(
        "Access-Control-Allow-Headers",
        "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer, X-Address, "
        "X-Capability, "
        "X-Content-SHA256, X-Recovery-ID, X-Request-Id, X-Signature, X-Timestamp"
    );
    reply.headers.emplace_back("Access-Control-Max-Age", "600");
    return reply;
}

void dress(const Service& service, const Request& request, Reply& reply) {
    auto& headers = reply.headers;
    headers.emplace_back("X-Content-Type-Options", "nosniff");
    headers.emplace_back("Cache-Control", "no-store");
    headers.emplace_back("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
    headers.emplace_back("Referrer-Policy", "no-referrer");
    if (service.encrypted) {
        headers.emplace_back("Strict-Transport-Security", "max-age=31536000");
    }
    if (!request.rate_policy.empty()) {
        headers.emplace_back("RateLimit-Policy", request.rate_policy);
        headers.emplace_back("RateLimit", request.rate_left);
    }
    if (request.auth == "legacy") {
        deprecate(reply);
    }
    if (!service.cors_origins.empty()) {
        headers.emplace_back("Vary", "Origin");
    }
    if (const auto* origin = allowed_origin(service, request)) {
        headers.emplace_back("Access-Control-Allow-Origin", *origin);
        headers.emplace_back(
            "Access-Control-Expose-Headers",
            "ETag, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
        );
    }
}

}  // namespace vmm::http
