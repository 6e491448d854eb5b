#include "legacy.h"

#include "vmm/base/text.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

namespace vmm::http {
namespace {

struct Legacy {
    std::string_view method;
    std::string_view pattern;
    std::string_view operation;
};

constexpr std::array legacy_routes{
    Legacy{"POST", "/vm/create", "Create"},
    Legacy{"POST", "/vm/{id}/start", "Start"},
    Legacy{"POST", "/vm/{id}/stop", "Stop"},
    Legacy{"POST", "/vm/{id}/delete", "Delete"},
    Legacy{"GET", "/vm/{id}", "Get"},
};

constexpr std::size_t signed_formfile_bytes = 32;
constexpr std::string_view deprecated_since = "@1767225600";  // 2026-01-01
constexpr std::string_view ends = "Fri, 31 Dec 2027 23:59:59 GMT";

std::unexpected<Error> bad(std::string_view field, std::string why) {
    return fail(Error{Code::malformed, std::move(why)}.with_slug("bad-signature").with_field(field));
}

std::string message_of(const Legacy& legacy, const Request& request) {
    std::string text{legacy.operation};
    text.append("VmRequest:");
    if (legacy.operation != "Create") {
        return text.append(request.parameters.at("id"));
    }
    const auto formfile = request.json->text_or("formfile", "").substr(0, signed_formfile_bytes);
    return text.append(request.json->text_or("name", ""))
        .append(":")
        .append(to_hex({reinterpret_cast<const std::uint8_t*>(formfile.data()), formfile.size()}));
}

Result<ports::Signature> signature_in(const json::Value& body) {
    const auto bytes = from_hex(body.text_or("signature", ""));
    if (!bytes || bytes->size() != 64) {
        return bad("signature", "signature must be 64 bytes of hex");
    }
    const auto* given = body.find("recovery_id");
    const auto* number = given == nullptr ? nullptr : given->as<json::Number>();
    const auto id = number == nullptr ? std::nullopt : parse_number<std::uint32_t>(number->text);
    const auto v = id.value_or(255) & 0xff;
    if (v != 0 && v != 1 && v != 27 && v != 28) {
        return bad("recovery_id", "recovery_id must be 0, 1, 27 or 28");
    }
    ports::Signature out;
    std::ranges::copy(*bytes, out.rs.begin());
    out.recovery_id = static_cast<int>(v % 27);
    return out;
}

// The old clients signed the digest as it is, or hashed once more with SHA-256; whose account it is tells
// which.
Result<std::pair<domain::Address, ports::Digest>>
signer_of(const Service& service, const std::string& message, const ports::Signature& signature) {
    const auto& signatures = service.world.signatures;
    const auto direct = signatures.sha3_256(message);
    const auto twice = signatures.sha256({reinterpret_cast<const char*>(direct.data()), direct.size()});
    auto first = signatures.recover(direct, signature);
    auto second = signatures.recover(twice, signature);
    if (!first && !second) {
        return bad("signature", first.error().message());
    }
    if (second && service.accounts.registered(*second)) {
        return std::pair{*second, twice};
    }
    return first ? std::pair{*first, direct} : std::pair{*second, twice};
}

void strip(const Legacy& legacy, Request& request) {
    auto& members = *request.json->as<json::Object>();
    std::erase_if(members, [&legacy](const auto& member) {
        const auto& name = member.first;
        return name == "signature" || name == "recovery_id" || name == "id" ||
               (name == "name" && legacy.operation != "Create");
    });
}

}  // namespace

Result<std::optional<LegacyProof>> read_legacy(const Service& service, const Route& route, Request& request) {
    const auto legacy = std::ranges::find_if(legacy_routes, [&route](const Legacy& each) {
        return each.method == route.method && each.pattern == route.pattern;
    });
    const bool signed_so = legacy != legacy_routes.end() && request.json &&
                           request.json->as<json::Object>() != nullptr &&
                           request.json->find("signature") != nullptr;
    if (!signed_so || request.header("x-signature") != nullptr) {
        return std::optional<LegacyProof>{};
    }
    if (!service.legacy_auth) {
        return fail(
            Error{
                Code::unauthenticated,
                "the request is signed in its body, as old clients did; that is turned off here"
            }
                .with_slug("legacy-auth-disabled")
                .with_hint("sign with the headers X-Signature, X-Recovery-ID and X-Timestamp; until then an "
                           "operator may set legacy_auth = true (VMM_LEGACY_AUTH)")
        );
    }
    const auto id = request.json->text_or("id", "");
    if (!id.empty() && legacy->operation != "Create" && id != request.parameters.at("id")) {
        return invalid("id", "the body is about " + quote(id) + ", the path about another machine");
    }
    TRY(const auto signature, signature_in(*request.json));
    LegacyProof proof;
    proof.message = message_of(*legacy, request);
    TRY(const auto signer, signer_of(service, proof.message, signature));
    proof.address = signer.first;
    proof.digest = signer.second;
    proof.signature = to_hex(signature.rs) + (signature.recovery_id == 0 ? "1b" : "1c");
    proof.once = legacy->operation == "Create" || legacy->operation == "Delete";
    strip(*legacy, request);
    spdlog::warn(
        "a request is signed in its body, which ends soon address={} route={}",
        proof.address.text(),
        route.pattern
    );
    return std::optional{std::move(proof)};
}

void deprecate(Reply& reply) {
    reply.headers.emplace_back("Deprecation", deprecated_since);
    reply.headers.emplace_back("Sunset", ends);
}

}  // namespace vmm::http
