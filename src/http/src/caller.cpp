#include "caller.h"

#include "vmm/base/text.h"
#include "vmm/json/write.h"
#include "vmm/wire/signing.h"

namespace vmm::http {
namespace {

const std::string none;

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

// An unknown address' account, where anyone may open one.
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

}  // namespace

Task<void> authenticate(Service& service, Request& request) {
    CO_TRY(const auto who, recover(service, request));
    const auto window = service.world.settings.timestamp_window.count();
    CO_CHECK(wire::check_window(who.timestamp_ns, service.clock_ns(), window));
    if (!service.accounts.registered(who.address)) {
        const bool open = service.world.settings.registration == app::Registration::open;
        if (!open || request.header("x-address") == nullptr) {
            co_return fail(Error{
                Code::unauthenticated,
                "the signature is of " + std::string{who.address.text()} + ", which is not registered"
            }
                               .with_slug("unknown-signer")
                               .with_signer(who.message, who.address.text())
                               .with_hint(
                                   open ? "if that is you, send X-Address to open an account; if not, you "
                                          "signed another text than "
                                          "expected_message"
                                        : "if that is you, ask an administrator for an account; if not, you "
                                          "signed another text than "
                                          "expected_message"
                               ));
        }
        CO_CHECK(co_await open_account(service, who.address));
    }
    if (!service.accounts.active(who.address)) {
        co_return fail(Error{Code::forbidden, "this account is suspended"}
                           .with_slug("account-suspended")
                           .with_hint("its machines are as they were; an administrator can lift this"));
    }
    request.caller = {who.address, service.accounts.administrator(who.address)};
    if (request.method == "GET" || request.method == "HEAD") {
        co_return Result<void>{};
    }
    const Timestamp expires{who.timestamp_ns / 1'000'000 + (window + 1) * 1000};
    CO_TRY(request.ticket, service.replay.claim(who.address, who.digest, expires));
    request.unstored_ticket = true;
    co_return Result<void>{};
}

}  // namespace vmm::http
