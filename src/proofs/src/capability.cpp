#include "vmm/proofs/capability.h"

#include "vmm/base/text.h"
#include "vmm/json/decode.h"
#include "vmm/json/encode.h"

#include <algorithm>

namespace vmm::proofs {
namespace {

constexpr std::string_view prefix = "cap1.";

struct LinkText {
    std::string vm;
    std::string to;
    std::vector<std::string> actions;
    std::int64_t expires = 0;
    std::string nonce;
    std::string signature;
    static constexpr std::array required{"vm", "to", "actions", "expires", "nonce", "signature"};
};
BOOST_DESCRIBE_STRUCT(LinkText, (), (vm, to, actions, expires, nonce, signature))

std::unexpected<Error> bad(std::string why) {
    return fail(Error{Code::malformed, "the capability cannot be read: " + std::move(why)}
                    .with_slug("bad-capability")
                    .with_field("X-Capability"));
}

std::unexpected<Error> refused(std::string_view slug, std::string why) {
    return fail(Error{Code::unauthenticated, std::move(why)}.with_slug(slug).with_field("X-Capability"));
}

// EIP-712 pads everything to words of 32 bytes.
void add_word(std::string& out, const ports::Digest& digest) {
    out.append(reinterpret_cast<const char*>(digest.data()), digest.size());
}

void add_right(std::string& out, std::string_view bytes) {
    out.append(32 - bytes.size(), '\0').append(bytes);
}

void add_number(std::string& out, std::uint64_t number) {
    std::string bytes;
    for (int shift = 56; shift >= 0; shift -= 8) {
        bytes.push_back(static_cast<char>(number >> shift));
    }
    add_right(out, bytes);
}

ports::Digest domain_separator(const ports::Signatures& signatures) {
    std::string text;
    add_word(text, signatures.keccak256("EIP712Domain(string name,string version)"));
    add_word(text, signatures.keccak256("vmm-service"));
    add_word(text, signatures.keccak256("1"));
    return signatures.keccak256(text);
}

Result<domain::Actions> actions_of(const std::vector<std::string>& names) {
    domain::Actions actions;
    for (const auto& name : names) {
        const auto action = domain::action_named(name);
        if (!action || *action == domain::Action::share) {
            return bad(quote(name) + " is no action that can be passed on: view, operate, configure, own");
        }
        actions.add(*action);
    }
    return names.empty() || names.size() > 4 ? Result<domain::Actions>{bad("it names no action, or too many")}
                                             : Result<domain::Actions>{actions};
}

}  // namespace

ports::Digest
link_digest(const ports::Signatures& signatures, const Link& link, const ports::Digest& parent) {
    std::string actions;
    for (const auto& action : link.actions) {
        add_word(actions, signatures.keccak256(action));
    }
    std::string text;
    add_word(
        text,
        signatures.keccak256("Capability(string vm,address to,string[] actions,uint256 expires,uint256 nonce,"
                             "bytes32 parent)")
    );
    add_word(text, signatures.keccak256(link.vm));
    const auto& to = link.to.bytes();
    add_right(text, {reinterpret_cast<const char*>(to.data()), to.size()});
    add_word(text, signatures.keccak256(actions));
    add_number(text, static_cast<std::uint64_t>(link.expires));
    add_right(text, {reinterpret_cast<const char*>(link.nonce.data()), link.nonce.size()});
    add_word(text, parent);
    std::string typed{"\x19\x01"};
    add_word(typed, domain_separator(signatures));
    add_word(typed, signatures.keccak256(text));
    return signatures.keccak256(typed);
}

std::string write_capability(const std::vector<Link>& links) {
    std::vector<LinkText> out;
    for (const auto& link : links) {
        auto signature = to_hex(link.signature.rs);
        signature.append(link.signature.recovery_id == 0 ? "1b" : "1c");
        out.push_back(
            {link.vm,
             std::string{link.to.text()},
             link.actions,
             link.expires,
             to_hex(link.nonce),
             std::move(signature)}
        );
    }
    return std::string{prefix}.append(to_base64url(json::encode(out)));
}

Result<std::vector<Link>> read_capability(const ports::Signatures& signatures, std::string_view token) {
    if (!token.starts_with(prefix)) {
        return bad("it does not begin with \"cap1.\"");
    }
    const auto text = from_base64url(token.substr(prefix.size()));
    if (!text) {
        return bad("it is no base64url");
    }
    TRY(const auto value, json::parse(*text));
    const auto rows = json::decode<std::vector<LinkText>>(value);
    if (!rows) {
        return bad(rows.error().field() + ": " + rows.error().message());
    }
    if (rows->empty() || rows->size() > most_links) {
        return bad("it has " + std::to_string(rows->size()) + " links; 1 to 8 are possible");
    }
    std::vector<Link> links;
    for (const auto& row : *rows) {
        Link link;
        link.vm = row.vm;
        const auto to = signatures.parse_address(row.to);
        const auto nonce = from_hex(row.nonce);
        const auto signature = from_hex(row.signature);
        if (!to || !nonce || nonce->size() != link.nonce.size() || !signature || signature->size() != 65 ||
            row.expires < 0) {
            return bad("a link's address, expires, nonce or signature is none");
        }
        link.to = *to;
        link.actions = row.actions;
        link.expires = row.expires;
        std::ranges::copy(*nonce, link.nonce.begin());
        std::copy_n(signature->begin(), 64, link.signature.rs.begin());
        const int v = signature->back();
        if (v != 27 && v != 28) {
            return bad("the last byte of a signature must be 27 or 28");
        }
        link.signature.recovery_id = v - 27;
        links.push_back(std::move(link));
    }
    return links;
}

Result<Capability>
verify_capability(const ports::Signatures& signatures, const std::vector<Link>& links, std::int64_t now_s) {
    Capability out;
    ports::Digest parent{};
    for (const auto& link : links) {
        TRY(const auto actions, actions_of(link.actions));
        const auto digest = link_digest(signatures, link, parent);
        const auto signer = signatures.recover(digest, link.signature);
        if (!signer) {
            return bad(signer.error().message());
        }
        if (link.expires <= now_s) {
            return refused("capability-expired", "the capability ended at " + rfc3339({link.expires * 1000}));
        }
        if (link.expires > now_s + longest_capability_s) {
            return refused("capability-too-long", "a capability may last 366 days at most");
        }
        if (out.ids.empty()) {
            out.delegation = {*signer, link.vm, actions};
            out.expires = link.expires;
        } else {
            if (*signer != out.holder) {
                return refused(
                    "capability-widened",
                    "a link is signed by " + std::string{signer->text()} +
                        ", but the one before it was given to " + std::string{out.holder.text()}
                );
            }
            if (link.vm != out.delegation.vm || !actions.within(out.delegation.actions) ||
                link.expires > out.expires) {
                return refused(
                    "capability-widened",
                    "a link gives more than the one before it: another machine, more actions, or a longer "
                    "time"
                );
            }
            out.delegation.actions = actions;
            out.expires = link.expires;
        }
        out.holder = link.to;
        out.signers.push_back(*signer);
        out.ids.push_back(digest);
        parent = digest;
    }
    return out;
}

}  // namespace vmm::proofs
