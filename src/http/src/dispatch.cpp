#include "vmm/base/text.h"

#include <boost/asio/post.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "caller.h"
#include "front.h"
#include "metadata.h"
#include "reply.h"
#include "request.h"
#include "routes.h"

namespace vmm::http {
namespace {

constexpr std::string_view version_prefix = "/v1/";

// Whether the path fits the pattern; fills the parameters when it does.
bool fits(std::string_view pattern, std::string_view path, Request& request) {
    std::vector<std::pair<std::string_view, std::string_view>> found;
    while (true) {
        const auto expected = pattern.substr(0, pattern.find('/', 1));
        const auto given = path.substr(0, path.find('/', 1));
        if (expected.starts_with("/{")) {
            if (given.size() < 2) {
                return false;
            }
            found.emplace_back(expected.substr(2, expected.size() - 3), given.substr(1));
        } else if (expected != given) {
            return false;
        }
        pattern.remove_prefix(expected.size());
        path.remove_prefix(given.size());
        if (pattern.empty() || path.empty()) {
            break;
        }
    }
    if (!pattern.empty() || !path.empty()) {
        return false;
    }
    for (const auto& [name, value] : found) {
        request.parameters.emplace(name, value);
    }
    return true;
}

// HEAD is answered as GET; the server leaves the body out.
std::string_view routed_method(const Request& request) {
    return request.method == "HEAD" ? std::string_view{"GET"} : std::string_view{request.method};
}

Result<const Route*> find_route(Request& request, std::string& allow) {
    for (const auto& route : routes()) {
        if (!fits(route.pattern, request.path, request)) {
            continue;
        }
        if (route.method == routed_method(request)) {
            return &route;
        }
        request.parameters.clear();
        if (!allow.contains(route.method)) {
            allow.append(allow.empty() ? "" : ", ").append(route.method);
        }
    }
    if (allow.empty()) {
        return fail(
            Error{Code::not_found, "there is nothing at " + quote(request.path)}.with_slug("no-such-route")
        );
    }
    return fail(Error{Code::method_not_allowed, request.method + " is not possible here, but " + allow});
}

Result<void> read_target(Request& request) {
    const auto parsed = boost::urls::parse_origin_form(request.target);
    if (!parsed) {
        return fail(Error{Code::malformed, "the request's target cannot be read"}.with_slug("bad-target"));
    }
    std::string_view path = request.target;
    path = path.substr(0, path.find('?'));
    if (path.starts_with(version_prefix)) {
        path.remove_prefix(version_prefix.size() - 1);
    }
    request.path = path;
    for (const auto& parameter : parsed->params()) {
        request.query.emplace_back(parameter.key, parameter.value);
    }
    return {};
}

bool is_json(const Request& request) {
    const auto* type = request.header("content-type");
    return type != nullptr &&
           equals_ignoring_case(trim(std::string_view{*type}.substr(0, type->find(';'))), "application/json");
}

// Reads a JSON body once, for the signature and for the handler.
Result<void> read_body(Request& request) {
    if (!request.body.empty() && is_json(request)) {
        TRY(request.json, json::parse(request.body));
    }
    return {};
}

// A path that serves GET and POST is signed the same for both; only the body tells them apart.
Result<void> check_twins(const Route& route, const Request& request) {
    const bool twin = route.method == "POST" && std::ranges::any_of(routes(), [&route](const Route& other) {
                          return other.method == "GET" && other.pattern == route.pattern;
                      });
    if (twin && request.body.empty() && request.reader == nullptr) {
        return fail(
            Error{Code::malformed, "a POST to " + std::string{route.pattern} + " needs a body, {} at least"}
                .with_slug("body-missing")
        );
    }
    return {};
}

Result<void> bind_idempotency_key(const Service& service, Request& request) {
    const auto* key = request.header("idempotency-key");
    if (key == nullptr || request.method != "POST") {
        return {};
    }
    const bool printable = std::ranges::all_of(*key, [](char c) { return c > 0x20 && c < 0x7f; });
    if (key->empty() || key->size() > 255 || !printable) {
        return fail(Error{Code::malformed, "an Idempotency-Key has 1 to 255 printable characters"}.with_field(
            "Idempotency-Key"
        ));
    }
    // Hashed, so that no key's text can reach into another's place in the store.
    request.ticket.idempotency_key = "/idempotency/" + std::string{request.caller.address.text()} + "/" +
                                     to_hex(service.world.signatures.sha256(*key));
    // Of a body that is still to come the announced hash stands for it.
    const auto& what = request.reader == nullptr ? request.body : *request.header("x-content-sha256");
    request.ticket.body_sha256 = to_hex(service.world.signatures.sha256(request.path + "\n" + what));
    return {};
}

Task<Reply> answer(Service& service, Request& request, std::string& allow) {
    CO_CHECK(check_source(service, request));
    if (auto answered = preflight(service, request)) {
        co_return *std::move(answered);
    }
    CO_CHECK(read_target(request));
    if (service.metadata) {
        CO_CHECK(read_body(request));
        co_return co_await serve_metadata(service, request);
    }
    CO_TRY(const auto* route, find_route(request, allow));
    if (service.guests_only && route->access.kind() != Access::Kind::anyone) {
        co_return fail(Error{Code::not_found, "this port is for guests"}.with_slug("no-such-route"));
    }
    CO_CHECK(check_twins(*route, request));
    CO_CHECK(read_body(request));
    if (route->access.kind() != Access::Kind::anyone) {
        CO_CHECK(co_await authenticate(service, *route, request));
        CO_CHECK(bind_idempotency_key(service, request));
        CO_CHECK(check_access(service, *route, request));
    }
    co_return co_await route->handler(service, request);
}

// Seals the request's record in the ledger, now that its answer is known.
asio::awaitable<void> record(Service& service, Request& request, int status, std::string code) {
    const auto draft = request.ticket.draft;
    if (!draft) {
        co_return;
    }
    draft->record.status = status;
    draft->record.code = std::move(code);
    draft->record.outcome = status < 400                                      ? "allowed"
                            : status == 401 || status == 403 || status == 404 ? "denied"
                                                                              : "refused";
    // An intent that has gone wrong may have stored nothing, not even the open record.
    if (draft->open && status < 400) {
        asio::post(service.application, [&ledger = service.ledger, draft] { ledger.seal(draft); });
    } else {
        // The signature is used all the same, also after a restart.
        (void)co_await on_application(service, service.ledger.append(request.ticket));
    }
}

asio::awaitable<Result<Reply>> guarded(Service& service, Request& request, std::string& allow) {
    try {
        co_return co_await answer(service, request, allow);
    } catch (const std::exception& e) {
        spdlog::error(
            "a request ended with an exception request_id={} what=\"{}\"", request.request_id, e.what()
        );
    }
    co_return fail(Code::internal, "the service failed; its log has the details under this request_id");
}

}  // namespace

bool streams(Request head) {
    std::string allow;
    if (!read_target(head)) {
        return false;
    }
    const auto route = find_route(head, allow);
    return route && (*route)->streams && !is_json(head);
}

asio::awaitable<Reply> handle(Service& service, Request request) {
    const auto began = std::chrono::steady_clock::now();
    std::string allow;
    request.peer = client_of(service, request);
    auto reply = co_await guarded(service, request, allow);
    Reply out = reply ? *std::move(reply) : problem(reply.error(), request.request_id);
    co_await record(service, request, out.status, reply ? std::string{} : std::string{reply.error().slug()});
    count_failure(service, request, out);
    dress(service, request, out);
    if (out.status == 405) {
        out.headers.emplace_back("Allow", allow);
    }
    if (!reply && reply.error().code() == Code::internal) {
        spdlog::error(
            "internal error request_id={} error=\"{}\"", request.request_id, reply.error().message()
        );
    }
    const auto took =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began)
            .count();
    spdlog::info(
        "request method={} route={} status={} us={} address={} peer={} request_id={}{}",
        request.method,
        quote(request.path),
        out.status,
        took,
        request.caller.address == domain::Address{} ? "-" : request.caller.address.text(),
        request.peer,
        request.request_id,
        reply ? "" : " code=" + std::string{reply.error().slug()}
    );
    co_return out;
}

}  // namespace vmm::http
