#include "caller.h"

#include "vmm/base/text.h"
#include "vmm/json/write.h"
#include "vmm/wire/signing.h"

#include <algorithm>

#include "front.h"
#include "legacy.h"

namespace vmm::http {
namespace {

const std::string none;
constexpr std::size_t longest_recorded_message = 8192;

const std::string& header_or_none(const Request& request, std::string_view name) {
    const auto* value = request.header(name);
    return value == nullptr ? none : *value;
}

// What the signature covers of the body; also checks the body against X-Content-SHA256.
Result<std::string> signed_data(const Service& service, const Request& request) {
    const auto* announced = request.header("x-content-sha256");
    if (request.reader != nullptr) {
        // Whoever reads the body holds it against the announced hash.
        const bool hash = announced != nullptr && announced->size() == 64 &&
                          announced->find_first_not_of("0123456789abcdef") == std::string::npos;
        return hash ? Result<std::string>{*announced}
                    : fail(Error{
                          Code::malformed,
                          "this body needs X-Content-SHA256, its SHA-256 in 64 lower-case hex digits"
                      }
                               .with_slug("content-hash-missing")
                               .with_field("X-Content-SHA256"));
    }
    if (const auto* given = announced) {
        const auto actual = to_hex(service.world.signatures.sha256(request.body));
        if (*given != actual) {
            return fail(Error{
                Code::malformed, "X-Content-SHA256 is not the SHA-256 of the body in 64 lower-case hex digits"
            }
                            .with_slug("content-hash-mismatch")
                            .with_field("X-Content-SHA256")
                            .with_hint("the body's SHA-256 is " + actual));
        }
        return *given;
    }
    if (request.body.empty()) {
        return std::string{};
    }
    if (!request.json) {
        return fail(Error{Code::malformed, "a body that is not application/json needs X-Content-SHA256"}
                        .with_slug("content-type")
                        .with_field("Content-Type"));
    }
    return json::canonical(*request.json);
}

struct Signed {
    domain::Address address;
    ports::Digest digest{};
    std::string message;
    std::string signature;  // 65 bytes in hex
    bool once = true;
    std::int64_t timestamp_ns = 0;
};

Result<Signed> recover(const Service& service, const Request& request) {
    const auto& signature_text = header_or_none(request, "x-signature");
    const auto& recovery_id = header_or_none(request, "x-recovery-id");
    const auto& timestamp = header_or_none(request, "x-timestamp");
    if (signature_text.empty() || recovery_id.empty() || timestamp.empty()) {
        return fail(Error{
            Code::unauthenticated,
            "the request is not signed: X-Signature, X-Recovery-ID and X-Timestamp are needed"
        }
                        .with_slug("signature-missing")
                        .with_hint("README, section Signing a request; vmctl signs by itself"));
    }
    TRY(const auto signature, wire::parse_signature(signature_text, recovery_id));
    Signed out;
    TRY(out.timestamp_ns, wire::parse_timestamp(timestamp));
    TRY(const auto data, signed_data(service, request));
    out.message = wire::signing_text(request.method, request.target, timestamp, data);
    out.digest = service.world.signatures.personal_digest(out.message);
    out.signature = to_hex(signature.rs) + (signature.recovery_id == 0 ? "1b" : "1c");
    TRY(out.address, service.world.signatures.recover(out.digest, {signature.rs, signature.recovery_id}));
    if (const auto* claimed = request.header("x-address")) {
        auto parsed = service.world.signatures.parse_address(*claimed);
        if (!parsed) {
            return fail(std::move(parsed).error().with_field("X-Address"));
        }
        if (*parsed != out.address) {
            return fail(Error{
                Code::unauthenticated,
                "the signature is not that of X-Address; most likely another text was signed"
            }
                            .with_slug("address-mismatch")
                            .with_field("X-Address")
                            .with_signer(out.message, out.address.text()));
        }
    }
    return out;
}

Error unknown_signer(const Signed& who, bool open) {
    return Error{
        Code::unauthenticated,
        "the signature is of " + std::string{who.address.text()} + ", which is not registered"
    }
        .with_slug("unknown-signer")
        .with_signer(who.message, who.address.text())
        .with_hint(
            open
                ? "if that is you, send X-Address to open an account; if not, you signed another text than "
                  "expected_message"
                : "if that is you, ask an administrator for an account; if not, you signed another text than "
                  "expected_message"
        );
}

struct Token {
    std::string text;
    bool from_cookie = false;
};

Token session_token(const Request& request) {
    static constexpr std::string_view bearer = "Bearer ";
    if (const auto* given = request.header("authorization");
        given != nullptr && given->size() > bearer.size() &&
        equals_ignoring_case(std::string_view{*given}.substr(0, bearer.size()), bearer)) {
        return {given->substr(bearer.size()), false};
    }
    if (const auto* cookies = request.header("cookie")) {
        for (const auto& cookie : split(*cookies, ';')) {
            const auto one = trim(cookie);
            if (one.starts_with(session_cookie) && one.substr(session_cookie.size()).starts_with('=')) {
                return {std::string{one.substr(session_cookie.size() + 1)}, true};
            }
        }
    }
    return {};
}

// A browser sends the cookie with requests that other sites begin, too; their origin gives them away.
Result<void> check_origin(const Service& service, const Request& request) {
    if (!request.changes()) {
        return {};
    }
    const auto& origin = header_or_none(request, "origin");
    const auto scheme = origin.find("://");
    const auto host = scheme == std::string::npos ? std::string{} : origin.substr(scheme + 3);
    const bool ours = !host.empty() && host == header_or_none(request, "host");
    const bool allowed = std::ranges::find(service.cors_origins, origin) != service.cors_origins.end();
    return ours || allowed ? Result<void>{}
                           : fail(Error{
                                 Code::forbidden,
                                 "a request with the session's cookie must come from this service's own pages"
                             }
                                      .with_slug("wrong-origin")
                                      .with_field("Origin"));
}

// A record for the ledger of what this request asks for.
Result<void> open_record(Service& service, const Route& route, Request& request, const Signed& who) {
    if (!service.ledger.accepts()) {
        return fail(Error{Code::unavailable, "the ledger cannot be written, so nothing may change"}
                        .with_slug("ledger-unavailable")
                        .with_retry_after(5));
    }
    proofs::LedgerRecord record;
    record.at = rfc3339(now());
    record.address = who.address.text();
    record.method = request.method;
    record.target = request.target;
    record.action = std::string{route.method}.append(" ").append(route.pattern);
    for (const auto* name : {"id", "team", "name", "volume", "session", "address"}) {
        if (const auto given = request.parameters.find(name);
            given != request.parameters.end() && record.about.empty()) {
            record.about = given->second;
        }
    }
    record.request_id = request.request_id;
    record.peer = request.peer;
    record.auth = request.auth;
    record.signature = who.signature;
    if (who.message.size() <= longest_recorded_message) {
        record.message = who.message;
    } else {
        record.digest = to_hex(who.digest);
    }
    if (request.session) {
        record.session = request.session->id;
    }
    if (request.capability) {
        record.capability = *request.header("x-capability");
    }
    request.ticket.draft = service.ledger.draft(std::move(record));
    return {};
}

// Who asks, by whichever proof the request carries.
Result<Signed> identify(Service& service, const Route& route, Request& request) {
    const auto token = session_token(request);
    TRY(auto legacy, read_legacy(service, route, request));
    if (legacy) {
        request.auth = "legacy";
        Signed who;
        who.address = legacy->address;
        who.digest = legacy->digest;
        who.message = std::move(legacy->message);
        who.signature = std::move(legacy->signature);
        who.once = legacy->once;
        return who;
    }
    if (token.text.empty() || request.header("x-signature") != nullptr) {
        request.auth = "signature";
        TRY(auto who, recover(service, request));
        CHECK(wire::check_window(
            who.timestamp_ns, service.clock_ns(), service.world.settings.timestamp_window.count()
        ));
        return who;
    }
    request.auth = "session";
    if (token.from_cookie) {
        CHECK(check_origin(service, request));
    }
    request.session = service.sessions.find(token.text, now());
    if (!request.session) {
        return fail(Error{Code::unauthenticated, "the session is unknown, or has ended"}
                        .with_slug("session-ended")
                        .with_hint("sign in again: GET /auth/nonce, POST /auth/login"));
    }
    Signed who;
    who.address = request.session->address;
    return who;
}

Task<void> check_account(Service& service, const Request& request, Signed who) {
    if (!service.accounts.registered(who.address)) {
        const bool open = service.world.settings.registration == app::Registration::open;
        if (!open || request.header("x-address") == nullptr) {
            co_return fail(unknown_signer(who, open));
        }
        CO_CHECK(co_await open_account(service, who.address));
    }
    co_return check_active(service, who.address);
}

}  // namespace

Result<void> check_active(const Service& service, const domain::Address& address) {
    if (service.accounts.active(address)) {
        return {};
    }
    return fail(Error{Code::forbidden, "this account is suspended"}
                    .with_slug("account-suspended")
                    .with_hint("its machines are as they were; an administrator can lift this"));
}

Task<void> open_account(Service& service, domain::Address address) {
    domain::Caller self{address, false};
    std::optional<std::int64_t> any;
    app::Ticket nothing;
    app::AccountChange as_it_is;
    CO_CHECK(co_await on_application(
        service, service.accounts.put(self, address, std::move(as_it_is), any, std::move(nothing))
    ));
    co_return Result<void>{};
}

Result<proofs::Capability> capability_of(const Service& service, std::string_view token) {
    const auto& signatures = service.world.signatures;
    TRY(const auto links, proofs::read_capability(signatures, token));
    return proofs::verify_capability(signatures, links, service.clock_ns() / 1'000'000'000);
}

Task<void> authenticate(Service& service, const Route& route, Request& request) {
    CO_TRY(const auto who, identify(service, route, request));
    CO_CHECK(co_await check_account(service, request, who));
    request.caller = {who.address, service.accounts.administrator(who.address)};
    CO_CHECK(check_rate(service, request));
    if (const auto* token = request.header("x-capability")) {
        CO_TRY(request.capability, capability_of(service, *token));
        CO_CHECK(service.revocations.check(*request.capability));
        if (request.capability->holder != who.address) {
            co_return fail(Error{
                Code::unauthenticated,
                "the capability was given to " + std::string{request.capability->holder.text()} +
                    ", not to " + std::string{who.address.text()}
            }.with_slug("capability-not-yours")
                               .with_field("X-Capability"));
        }
        request.caller.delegation = request.capability->delegation;
    }
    if (!request.changes()) {
        co_return Result<void>{};
    }
    if (request.auth == "signature") {
        const auto window = service.world.settings.timestamp_window.count();
        const Timestamp expires{who.timestamp_ns / 1'000'000 + (window + 1) * 1000};
        CO_TRY(request.ticket, service.replay.claim(who.address, who.digest, expires));
    } else if (request.auth == "legacy" && who.once) {
        // Its text holds no time; what is good once must be remembered for as long as it could come again.
        const auto expires = now().plus(std::chrono::years{2});
        CO_TRY(request.ticket, service.replay.claim(who.address, who.digest, expires));
    }
    co_return open_record(service, route, request, who);
}

}  // namespace vmm::http
