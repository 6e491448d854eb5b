#include "vmm/proofs/sign_in.h"

#include "vmm/base/text.h"
#include "vmm/wire/auth.h"
#include "vmm/wire/signing.h"

#include <algorithm>

#include "caller.h"
#include "handlers.h"
#include "reply.h"
#include "represent.h"

// Signing in with Ethereum (EIP-4361), and the sessions that this opens.
namespace vmm::http {
namespace {

wire::Session represent(const domain::Session& session, const Request& request) {
    return {
        session.id,
        rfc3339(session.created_at),
        rfc3339(session.expires_at),
        session.peer,
        session.agent,
        request.session && request.session->id == session.id
    };
}

Result<ports::Signature> signature_of(const std::string& text) {
    const auto bytes = from_hex(text);
    const auto parsed = !bytes || bytes->size() != 65
                            ? Result<wire::SignatureText>{fail(Code::malformed, "expected 65 bytes of hex")}
                            : wire::parse_signature(text, bytes->back() % 27 == 0 ? "0" : "1");
    return parsed ? Result<ports::Signature>{ports::Signature{parsed->rs, parsed->recovery_id}}
                  : invalid("signature", parsed.error().message());
}

std::string agent_of(const Request& request) {
    const auto* agent = request.header("user-agent");
    return agent == nullptr ? "" : quote(*agent, 120);
}

// Checks everything about the message; gives what it says.
Result<proofs::SignIn> checked(const Service& service, const wire::Login& login) {
    const auto& signatures = service.world.signatures;
    TRY(auto said, proofs::read_sign_in(signatures, login.message));
    CHECK(proofs::check_sign_in(said, service.sign_in, now()));
    TRY(const auto signature, signature_of(login.signature));
    const auto signer = signatures.recover(signatures.personal_digest(login.message), signature);
    if (!signer || *signer != said.address) {
        return fail(Error{Code::unauthenticated, "the signature is not that of the address in the message"}
                        .with_slug("address-mismatch")
                        .with_field("signature"));
    }
    return said;
}

proofs::LedgerRecord record_of(const Request& request, const proofs::SignIn& said, const wire::Login& login) {
    proofs::LedgerRecord record;
    record.at = rfc3339(now());
    record.address = said.address.text();
    record.method = request.method;
    record.target = request.target;
    record.action = "POST /auth/login";
    record.request_id = request.request_id;
    record.peer = request.peer;
    record.auth = "login";
    record.message = login.message;
    record.signature = lower(login.signature.starts_with("0x") ? login.signature.substr(2) : login.signature);
    return record;
}

Reply logged_in(const app::Sessions::Opened& opened, bool cookie) {
    const auto& session = opened.session;
    wire::LoggedIn out;
    out.session = session.id;
    out.address = session.address.text();
    out.expires_at = rfc3339(session.expires_at);
    if (!cookie) {
        out.token = opened.token;
        return json_reply(201, out);
    }
    auto reply = json_reply(201, out);
    const auto seconds = (session.expires_at.ms - now().ms) / 1000;
    reply.headers.emplace_back(
        "Set-Cookie",
        std::string{session_cookie} + "=" + opened.token + "; Path=/; Max-Age=" + std::to_string(seconds) +
            "; HttpOnly; Secure; SameSite=Strict"
    );
    return reply;
}

}  // namespace

Task<Reply> show_nonce(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    const auto& settings = service.world.settings;
    const auto at = now();
    wire::Nonce out;
    out.nonce = proofs::make_nonce(service.world.signatures, settings.secret, at);
    out.expires_at = rfc3339(*proofs::check_nonce(service.world.signatures, settings.secret, out.nonce, at));
    out.domains = service.sign_in.domains;
    out.chain_id = service.sign_in.chain_id;
    co_return json_reply(200, out);
}

Task<Reply> login(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto wanted, body_of<wire::Login>(request));
    CO_TRY(const auto said, checked(service, wanted));
    CO_TRY(
        const auto nonce_ends,
        proofs::check_nonce(service.world.signatures, service.world.settings.secret, said.nonce, now())
    );
    if (!service.accounts.registered(said.address)) {
        if (service.world.settings.registration != app::Registration::open) {
            co_return fail(
                Error{Code::unauthenticated, std::string{said.address.text()} + " is not registered"}
                    .with_slug("unknown-signer")
                    .with_hint("ask an administrator for an account")
            );
        }
        CO_CHECK(co_await open_account(service, said.address));
    }
    CO_CHECK(check_active(service, said.address));
    auto claimed = service.replay.claim("sign-in/" + said.nonce, nonce_ends);
    if (!claimed) {
        co_return fail(
            claimed.error().code() != Code::conflict ? std::move(claimed).error()
                                                     : Error{Code::conflict, "the nonce was used before"}
                                                           .with_slug("nonce-used")
                                                           .with_field("message")
        );
    }
    request.ticket = *std::move(claimed);
    request.caller.address = said.address;
    request.ticket.draft = service.ledger.draft(record_of(request, said, wanted));
    domain::Session session;
    session.address = said.address;
    session.peer = request.peer;
    session.agent = agent_of(request);
    auto beginning = service.sessions.begin(std::move(session), said.expires_at, request.ticket);
    CO_TRY(const auto opened, co_await on_application(service, std::move(beginning)));
    co_return logged_in(opened, wanted.cookie.value_or(false));
}

Task<Reply> logout(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_CHECK(body_of<wire::Nothing>(request));
    if (!request.session) {
        co_return fail(Error{Code::invalid, "this request came by signature, not in a session"}
                           .with_slug("no-session")
                           .with_hint("DELETE /auth/sessions/{session} ends one by its id"));
    }
    auto ending = service.sessions.end(request.caller.address, request.session->id, request.ticket);
    CO_CHECK(co_await on_application(service, std::move(ending)));
    auto reply = gone();
    reply.headers.emplace_back(
        "Set-Cookie", std::string{session_cookie} + "=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict"
    );
    co_return reply;
}

Task<Reply> show_whoami(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    wire::Whoami out;
    const auto& address = request.caller.address;
    out.address = address.text();
    if (const auto account = service.accounts.find(address)) {
        out.name = account->name;
    }
    out.administrator = request.caller.administrator;
    out.auth = request.auth;
    if (request.session) {
        out.session = represent(*request.session, request);
    }
    if (request.capability) {
        out.capability = http::represent(*request.capability);
    }
    for (const auto& team : service.teams.of(address)) {
        out.teams.push_back(team);
    }
    co_return json_reply(200, out);
}

Task<Reply> list_sessions(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    wire::SessionList list;
    for (const auto& session : service.sessions.of(request.caller.address, now())) {
        list.sessions.push_back(represent(session, request));
    }
    co_return json_reply(200, list);
}

Task<Reply> end_session(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_CHECK(body_of<wire::Nothing>(request));
    const auto id = request.parameters.find("session");
    auto ending = service.sessions.end(
        request.caller.address, id == request.parameters.end() ? "" : id->second, request.ticket
    );
    CO_CHECK(co_await on_application(service, std::move(ending)));
    co_return gone();
}

}  // namespace vmm::http
