#include "vmm/proofs/sign_in.h"

#include "vmm/base/ids.h"
#include "vmm/base/text.h"

#include <algorithm>

namespace vmm::proofs {
namespace {

constexpr std::size_t longest_message = 4096;
constexpr std::chrono::minutes nonce_lifetime{10};
constexpr std::size_t mac_digits = 32;

std::unexpected<Error> bad(std::string why) {
    return fail(Error{Code::invalid, "the message is no EIP-4361 message: " + std::move(why)}
                    .with_slug("bad-sign-in-message")
                    .with_field("message"));
}

std::unexpected<Error> refused(std::string_view slug, std::string why) {
    return fail(Error{Code::unauthenticated, std::move(why)}.with_slug(slug).with_field("message"));
}

// Takes one line after the other, each expected to begin in its way.
class Lines {
public:
    explicit Lines(std::string_view text) : rest_{text} {}

    [[nodiscard]] bool done() const { return done_; }

    [[nodiscard]] std::string_view peek() const { return rest_.substr(0, rest_.find('\n')); }

    std::string_view take() {
        const auto line = peek();
        done_ = line.size() == rest_.size();
        rest_.remove_prefix(done_ ? line.size() : line.size() + 1);
        return line;
    }

    Result<std::string> field(std::string_view name) {
        const auto line = take();
        return line.starts_with(name) ? Result<std::string>{std::string{line.substr(name.size())}}
                                      : bad("expected a line " + quote(name) + ", found " + quote(line));
    }

    // A field that may be left out.
    std::optional<std::string> optional(std::string_view name) {
        if (!peek().starts_with(name)) {
            return std::nullopt;
        }
        return std::string{take().substr(name.size())};
    }

private:
    std::string_view rest_;
    bool done_ = false;
};

Result<Timestamp> time_of(std::string_view name, const std::string& text) {
    const auto time = parse_rfc3339(text);
    return time ? Result<Timestamp>{*time} : bad(std::string{name} + quote(text) + " is no time");
}

Result<void> read_head(const ports::Signatures& signatures, Lines& lines, SignIn& out) {
    static constexpr std::string_view wants = " wants you to sign in with your Ethereum account:";
    auto head = lines.take();
    if (!head.ends_with(wants)) {
        return bad("its first line must end in " + quote(wants));
    }
    head.remove_suffix(wants.size());
    if (const auto scheme = head.find("://"); scheme != std::string_view::npos) {
        out.scheme = head.substr(0, scheme);
        head.remove_prefix(scheme + 3);
    }
    out.domain = head;
    const auto address = lines.take();
    const auto parsed = signatures.parse_address(address);
    if (!parsed) {
        return bad(parsed.error().message());
    }
    if (parsed->text() != address) {
        return bad("the address must have its EIP-55 checksum: " + std::string{parsed->text()});
    }
    out.address = *parsed;
    if (!lines.take().empty()) {
        return bad("an empty line must follow the address");
    }
    if (!lines.peek().empty()) {
        out.statement = lines.take();
    }
    if (!lines.take().empty()) {
        return bad("an empty line must stand before \"URI: \"");
    }
    return {};
}

}  // namespace

Result<SignIn> read_sign_in(const ports::Signatures& signatures, std::string_view message) {
    if (message.size() > longest_message) {
        return bad("it has more than " + std::to_string(longest_message) + " bytes");
    }
    Lines lines{message};
    SignIn out;
    CHECK(read_head(signatures, lines, out));
    TRY(out.uri, lines.field("URI: "));
    TRY(const auto version, lines.field("Version: "));
    if (version != "1") {
        return bad("its version is " + quote(version) + ", not 1");
    }
    TRY(const auto chain, lines.field("Chain ID: "));
    const auto chain_id = parse_number<std::int64_t>(chain);
    if (!chain_id) {
        return bad("its chain id is " + quote(chain));
    }
    out.chain_id = *chain_id;
    TRY(out.nonce, lines.field("Nonce: "));
    TRY(const auto issued, lines.field("Issued At: "));
    TRY(out.issued_at, time_of("Issued At: ", issued));
    if (const auto text = lines.optional("Expiration Time: ")) {
        TRY(out.expires_at, time_of("Expiration Time: ", *text));
    }
    if (const auto text = lines.optional("Not Before: ")) {
        TRY(out.not_before, time_of("Not Before: ", *text));
    }
    (void)lines.optional("Request ID: ");
    if (lines.peek() == "Resources:") {
        lines.take();
        while (lines.peek().starts_with("- ")) {
            lines.take();
        }
    }
    if (!lines.done()) {
        return bad("nothing is expected where it says " + quote(lines.peek()));
    }
    return out;
}

Result<void> check_sign_in(const SignIn& message, const SignInRules& rules, Timestamp at) {
    const auto ours = [&rules](std::string_view host) {
        return std::ranges::find(rules.domains, host) != rules.domains.end();
    };
    std::string known;
    for (const auto& domain : rules.domains) {
        known.append(known.empty() ? "" : ", ").append(domain);
    }
    if (!ours(message.domain)) {
        return refused(
            "wrong-domain", "the message is for " + quote(message.domain) + "; this service is " + known
        );
    }
    std::string_view uri = message.uri;
    const auto scheme = uri.find("://");
    uri.remove_prefix(scheme == std::string_view::npos ? uri.size() : scheme + 3);
    if (!ours(uri.substr(0, uri.find_first_of("/?#")))) {
        return refused(
            "wrong-domain", "the message's URI is " + quote(message.uri) + "; this service is " + known
        );
    }
    if (message.chain_id != rules.chain_id) {
        return refused(
            "wrong-chain",
            "the message is for chain " + std::to_string(message.chain_id) + ", not " +
                std::to_string(rules.chain_id)
        );
    }
    if (message.issued_at > at.plus(rules.window) ||
        (message.not_before && *message.not_before > at.plus(rules.window))) {
        return refused(
            "message-not-yet-valid",
            "the message is from the future: it says " + rfc3339(message.issued_at) + ", and it is " +
                rfc3339(at)
        );
    }
    const auto ends = message.expires_at.value_or(message.issued_at.plus(nonce_lifetime + rules.window));
    if (ends <= at) {
        return refused("message-expired", "the message ended at " + rfc3339(ends));
    }
    return {};
}

std::string make_nonce(const ports::Signatures& signatures, std::string_view key, Timestamp at) {
    std::array<std::uint8_t, 8> chance{};
    fill_random(chance);
    auto text = std::to_string(at.plus(nonce_lifetime).ms / 1000).append("x").append(to_hex(chance));
    return text + to_hex(signatures.hmac_sha256(key, text)).substr(0, mac_digits);
}

Result<Timestamp>
check_nonce(const ports::Signatures& signatures, std::string_view key, std::string_view nonce, Timestamp at) {
    const auto bad_nonce = [] {
        return refused(
            "bad-nonce", "the nonce is not one that this service gave within the last ten minutes"
        );
    };
    if (nonce.size() <= mac_digits || nonce.size() > 80) {
        return bad_nonce();
    }
    const auto text = nonce.substr(0, nonce.size() - mac_digits);
    const auto mac = to_hex(signatures.hmac_sha256(key, text)).substr(0, mac_digits);
    const auto ends = parse_number<std::int64_t>(text.substr(0, text.find('x')));
    if (!equal_secret(mac, nonce.substr(text.size())) || !ends || *ends * 1000 <= at.ms) {
        return bad_nonce();
    }
    return Timestamp{*ends * 1000};
}

}  // namespace vmm::proofs
