#include "client.h"

#include "vmm/base/ids.h"
#include "vmm/base/text.h"
#include "vmm/wire/signing.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <time.h>

#include <cstdio>

#include "keys.h"
#include "terminal.h"

namespace vmm::cli {
namespace {

Code code_of(int status) {
    switch (status) {
        case 400: return Code::malformed;
        case 401: return Code::unauthenticated;
        case 403: return Code::forbidden;
        case 404: return Code::not_found;
        case 409: return Code::conflict;
        case 412: return Code::precondition_failed;
        case 413: return Code::too_large;
        case 422: return Code::invalid;
        case 429: return Code::exhausted;
        case 503: return Code::unavailable;
        default: return Code::internal;
    }
}

Error problem_of(const fetch::Response& response) {
    const auto body = json::parse(response.body);
    if (!body || body->find("detail") == nullptr) {
        return {
            code_of(response.status), "the service answered with status " + std::to_string(response.status)
        };
    }
    return Error{code_of(response.status), std::string{body->text_or("detail", "")}}
        .with_slug(body->text_or("code", ""))
        .with_field(body->text_or("field", ""))
        .with_hint(body->text_or("hint", ""))
        .with_signer(body->text_or("expected_message", ""), body->text_or("recovered_address", ""));
}

// Seconds with nanoseconds, so that equal requests in one second differ.
std::string timestamp() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    char text[40];
    std::snprintf(text, sizeof text, "%lld.%09ld", static_cast<long long>(now.tv_sec), now.tv_nsec);
    return text;
}

}  // namespace

std::string query_escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           c == '-' || c == '_' || c == '.';
        out += plain ? std::string{c} : "%" + to_hex(std::array{static_cast<std::uint8_t>(c)});
    }
    return out;
}

Result<crypto::Signer> Client::signer() {
    if (!signer_) {
        TRY(signer_, load_key(settings_));
    }
    return *signer_;
}

Result<std::vector<std::pair<std::string, std::string>>>
Client::signature(const std::string& method, const std::string& target, const std::string& data) {
    TRY(const auto key, signer());
    const auto time = timestamp();
    const auto signature = key.sign(wire::signing_text(method, target, time, data));
    std::vector<std::pair<std::string, std::string>> headers;
    headers.emplace_back("X-Signature", "0x" + to_hex(signature.rs));
    headers.emplace_back("X-Recovery-ID", std::to_string(signature.recovery_id));
    headers.emplace_back("X-Timestamp", time);
    headers.emplace_back("X-Address", key.address().text());
    if (!settings_.capability.empty()) {
        headers.emplace_back("X-Capability", settings_.capability);
    }
    return headers;
}

Result<json::Value>
Client::call(const std::string& method, const std::string& target, const std::string& body) {
    std::string data;
    if (!body.empty()) {
        TRY(data, wire::canonical_body(body));
    }
    fetch::Request request;
    request.method = method;
    request.target = target;
    request.body = body;
    TRY(request.headers, signature(method, target, data));
    request.headers.insert(request.headers.end(), extra_.begin(), extra_.end());
    if (!body.empty()) {
        request.headers.emplace_back("Content-Type", "application/json");
    }
    return send(std::move(request));
}

Result<json::Value> Client::call_unsigned(const std::string& method, const std::string& target) {
    fetch::Request request;
    request.method = method;
    request.target = target;
    return send(std::move(request));
}

Result<json::Value> Client::call_with(
    const std::string& method,
    const std::string& target,
    const std::string& content_type,
    std::string body
) {
    const auto digest = to_hex(crypto::create_signatures()->sha256(body));
    fetch::Request request;
    request.method = method;
    request.target = target;
    TRY(request.headers, signature(method, target, digest));
    request.headers.insert(request.headers.end(), extra_.begin(), extra_.end());
    request.headers.emplace_back("Content-Type", content_type);
    request.headers.emplace_back("X-Content-SHA256", digest);
    request.body = std::move(body);
    return send(std::move(request));
}

Result<void> Client::stream(
    const std::string& method,
    const std::string& target,
    const std::string& body,
    fetch::Piece piece
) {
    std::string data;
    if (!body.empty()) {
        TRY(data, wire::canonical_body(body));
    }
    fetch::Request request;
    request.method = method;
    request.target = target;
    request.body = body;
    TRY(request.headers, signature(method, target, data));
    if (!body.empty()) {
        request.headers.emplace_back("Content-Type", "application/json");
    }
    TRY(const auto response, exchange(std::move(request), std::move(piece)));
    return response.status >= 400 ? Result<void>{fail(problem_of(response))} : Result<void>{};
}

Result<json::Value> Client::send(fetch::Request request) {
    const auto target = request.target;
    TRY(const auto response, exchange(std::move(request), {}));
    return read(response, target);
}

Result<fetch::Response> Client::exchange(fetch::Request request, fetch::Piece piece) {
    TRY(const auto to, origin());
    asio::io_context loop;
    asio::cancellation_signal stop_spinning;
    std::optional<Result<fetch::Response>> answer;
    if (on_terminal(2) && !piece) {
        asio::co_spawn(
            loop,
            spin(doing_),
            asio::bind_cancellation_slot(stop_spinning.slot(), [](const std::exception_ptr&) {})
        );
    }
    asio::co_spawn(
        loop,
        fetch::exchange(to, request, std::chrono::seconds{settings_.timeout_s}, piece),
        [&](const std::exception_ptr& thrown, Result<fetch::Response> result) {
            answer = thrown ? fail(Code::internal, "the request failed") : std::move(result);
            stop_spinning.emit(asio::cancellation_type::terminal);
        }
    );
    loop.run();
    if (!*answer) {
        return fail(std::move(*answer).error().with_hint(
            "is vmm-service running there? --url or VMM_URL says where (" + settings_.url + ")"
        ));
    }
    return **answer;
}

Result<json::Value> Client::read(const fetch::Response& response, const std::string& target) {
    if (response.status >= 400 && target != "/health") {
        // An unhealthy service answers /health with 503 and a body that is worth showing.
        const bool health = response.body.starts_with(R"({"status":")");
        if (!health) {
            return fail(problem_of(response));
        }
    }
    if (response.body.empty()) {
        return json::Value{};
    }
    return json::parse(response.body);
}

Result<std::string> Client::resolve(const std::string& name_or_id) {
    if (is_id("vm", name_or_id)) {
        return name_or_id;
    }
    TRY(const auto found, call("GET", "/vms?name=" + query_escaped(name_or_id)));
    const auto* vms = found.find("vms") == nullptr ? nullptr : found.find("vms")->as<json::List>();
    if (vms == nullptr || vms->empty()) {
        return fail(Error{Code::not_found, "there is no machine named " + quote(name_or_id)}.with_hint(
            "`vmctl ls` shows the machines that you may see"
        ));
    }
    if (vms->size() > 1) {
        return fail(
            Error{Code::conflict, std::to_string(vms->size()) + " machines are named " + quote(name_or_id)}
                .with_hint("use the id")
        );
    }
    return std::string{vms->front().text_or("id", "")};
}

Result<std::string> Client::address_or_own(const std::string& given) {
    if (!given.empty()) {
        return given;
    }
    TRY(const auto key, signer());
    return std::string{key.address().text()};
}

Result<std::string> Client::resolve_team(const std::string& name_or_id) {
    if (is_id("team", name_or_id)) {
        return name_or_id;
    }
    TRY(const auto answer, call("GET", "/teams"));
    const auto* teams = answer.find("teams") == nullptr ? nullptr : answer.find("teams")->as<json::List>();
    std::vector<std::string> found;
    for (const auto& team : teams == nullptr ? json::List{} : *teams) {
        if (team.text_or("name", "") == name_or_id) {
            found.emplace_back(team.text_or("id", ""));
        }
    }
    if (found.empty()) {
        return fail(Error{Code::not_found, "you are in no team named " + quote(name_or_id)}.with_hint(
            "`vmctl team ls` shows yours"
        ));
    }
    if (found.size() > 1) {
        return fail(Error{
            Code::conflict, std::to_string(found.size()) + " of your teams are named " + quote(name_or_id)
        }
                        .with_hint("use the id"));
    }
    return found.front();
}

}  // namespace vmm::cli
