#include "dns.h"

#include "vmm/base/text.h"

#include <algorithm>

namespace vmm::network {
namespace {

constexpr std::size_t header_bytes = 12;
constexpr std::uint16_t type_opt = 41;
constexpr std::uint16_t option_client_subnet = 8;
constexpr std::uint32_t ttl_s = 5;

// Reads forward and never past the end; after a failure everything is zero.
class Reader {
public:
    explicit Reader(std::string_view bytes) : bytes_{bytes} {}

    [[nodiscard]] bool failed() const { return failed_; }

    std::string_view take(std::size_t count) {
        if (count > bytes_.size()) {
            failed_ = true;
            return {};
        }
        const auto part = bytes_.substr(0, count);
        bytes_.remove_prefix(count);
        return part;
    }

    std::uint8_t byte() {
        const auto part = take(1);
        return part.empty() ? 0 : static_cast<std::uint8_t>(part[0]);
    }

    std::uint16_t word() {
        const auto high = byte();
        return static_cast<std::uint16_t>(high << 8 | byte());
    }

    [[nodiscard]] std::size_t left() const { return bytes_.size(); }

private:
    std::string_view bytes_;
    bool failed_ = false;
};

void put_word(std::string& out, std::uint16_t value) {
    out += static_cast<char>(value >> 8);
    out += static_cast<char>(value & 255);
}

// A name without compression; a pointer in a question is refused.
bool read_name(Reader& in, std::string& out) {
    while (true) {
        const auto length = in.byte();
        if (in.failed() || length > 63) {
            return false;
        }
        if (length == 0) {
            return true;
        }
        const auto label = in.take(length);
        out.append(out.empty() ? "" : ".").append(label);
        if (in.failed() || out.size() > 253) {
            return false;
        }
    }
}

void read_client_subnet(Reader option, DnsQuestion& out) {
    const auto family = option.word();
    const auto prefix = option.byte();
    (void)option.byte();
    if (family == 1 && prefix == 32 && option.left() == 4) {
        domain::Ip4 address;
        for (int i = 0; i < 4; ++i) {
            address.value = address.value << 8 | option.byte();
        }
        out.client = address;
    } else if (family == 2 && prefix == 128 && option.left() == 16) {
        domain::Ip6 address{};
        for (auto& byte : address) {
            byte = option.byte();
        }
        out.client6 = address;
    }
}

// The first OPT record among the additional ones.
void read_options(Reader& in, unsigned records, DnsQuestion& out) {
    for (unsigned i = 0; i < records && !in.failed(); ++i) {
        std::string name;
        if (!read_name(in, name)) {
            return;
        }
        const auto type = in.word();
        (void)in.take(6);  // class and time to live
        Reader data{in.take(in.word())};
        while (type == type_opt && data.left() >= 4 && !data.failed()) {
            const auto code = data.word();
            const Reader option{data.take(data.word())};
            if (code == option_client_subnet && !data.failed()) {
                read_client_subnet(option, out);
            }
        }
    }
}

}  // namespace

std::optional<DnsQuestion> read_query(std::string_view message) {
    Reader in{message};
    DnsQuestion out;
    out.id = in.word();
    const auto flags = in.word();
    const auto questions = in.word();
    const auto answers = in.word();
    const auto authorities = in.word();
    const auto additional = in.word();
    const bool query = (flags & 0xf800) == 0;
    if (in.failed() || !query || questions != 1 || answers != 0 || authorities != 0) {
        return std::nullopt;
    }
    out.recursion_desired = (flags & 0x0100) != 0;
    if (!read_name(in, out.name)) {
        return std::nullopt;
    }
    out.name = lower(out.name);
    out.type = in.word();
    const auto klass = in.word();
    if (in.failed() || klass != 1) {
        return std::nullopt;
    }
    out.wire = message.substr(header_bytes, message.size() - in.left() - header_bytes);
    read_options(in, additional, out);
    return out;
}

std::string write_answer(const DnsQuestion& question, const DnsAnswer& answer) {
    std::string out;
    put_word(out, question.id);
    const unsigned flags = 0x8480U | (question.recursion_desired ? 0x0100U : 0U) | (answer.exists ? 0U : 3U);
    put_word(out, static_cast<std::uint16_t>(flags));
    put_word(out, 1);
    put_word(out, answer.data.empty() ? 0 : 1);
    put_word(out, 0);
    put_word(out, 0);
    out += question.wire;
    if (!answer.data.empty()) {
        put_word(out, 0xc000 | header_bytes);  // the question's name
        put_word(out, question.type);
        put_word(out, 1);
        put_word(out, 0);
        put_word(out, ttl_s);
        put_word(out, static_cast<std::uint16_t>(answer.data.size()));
        out += answer.data;
    }
    return out;
}

std::string dns_name(std::string_view name) {
    std::string out;
    for (const auto& label : split(name, '.')) {
        const auto part = std::string_view{label}.substr(0, 63);
        out += static_cast<char>(part.size());
        out += part;
    }
    return out + '\0';
}

std::optional<domain::Ip4> reversed(std::string_view name) {
    constexpr std::string_view suffix = ".in-addr.arpa";
    if (!name.ends_with(suffix)) {
        return std::nullopt;
    }
    auto parts = split(name.substr(0, name.size() - suffix.size()), '.');
    std::ranges::reverse(parts);
    std::string text;
    for (const auto& part : parts) {
        text.append(text.empty() ? "" : ".").append(part);
    }
    return domain::parse_ip4(text);
}

}  // namespace vmm::network
