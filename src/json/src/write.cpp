#include "vmm/json/write.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

namespace vmm::json {
namespace {

constexpr std::string_view hex = "0123456789abcdef";

void append_escape(std::string& out, unsigned unit) {
    out.append("\\u");
    for (int shift = 12; shift >= 0; shift -= 4) {
        out += hex[(unit >> shift) & 15];
    }
}

// The short escape of a character, or nothing.
char short_escape(char c) {
    switch (c) {
        case '"': return '"';
        case '\\': return '\\';
        case '\b': return 'b';
        case '\t': return 't';
        case '\n': return 'n';
        case '\f': return 'f';
        case '\r': return 'r';
        default: return 0;
    }
}

// Decodes one code point of valid UTF-8 and moves past it.
std::uint32_t next_code_point(std::string_view& text) {
    const auto byte = [&text](std::size_t i) {
        return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i]));
    };
    const std::uint32_t first = byte(0);
    std::size_t length = 1;
    std::uint32_t point = first;
    if (first >= 0xf0) {
        length = 4;
        point = first & 0x07;
    } else if (first >= 0xe0) {
        length = 3;
        point = first & 0x0f;
    } else if (first >= 0xc0) {
        length = 2;
        point = first & 0x1f;
    }
    length = std::min(length, text.size());
    for (std::size_t i = 1; i < length; ++i) {
        point = (point << 6) | (byte(i) & 0x3f);
    }
    text.remove_prefix(length);
    return point;
}

void append_ascii_text(std::string& out, std::string_view text) {
    const auto plain = [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; };
    out += '"';
    while (!text.empty()) {
        const auto run = static_cast<std::size_t>(std::ranges::find_if_not(text, plain) - text.begin());
        out.append(text.substr(0, run));
        text.remove_prefix(run);
        if (text.empty()) {
            break;
        }
        const char c = text.front();
        if (const char escape = short_escape(c)) {
            out += '\\';
            out += escape;
            text.remove_prefix(1);
        } else {
            const auto point = next_code_point(text);
            if (point >= 0x10000) {
                append_escape(out, 0xd800 + ((point - 0x10000) >> 10));
                append_escape(out, 0xdc00 + ((point - 0x10000) & 0x3ff));
            } else {
                append_escape(out, point);
            }
        }
    }
    out += '"';
}

struct Style {
    bool canonical;
    std::string_view comma;
    std::string_view colon;
};

void append(std::string& out, const Value& value, const Style& style);

void append_list(std::string& out, const List& list, const Style& style) {
    out += '[';
    for (std::size_t i = 0; i < list.size(); ++i) {
        out.append(i == 0 ? "" : style.comma);
        append(out, list[i], style);
    }
    out += ']';
}

void append_object(std::string& out, const Object& object, const Style& style) {
    std::vector<const Object::value_type*> members;
    members.reserve(object.size());
    for (const auto& member : object) {
        members.push_back(&member);
    }
    if (style.canonical) {
        // Byte order of UTF-8 is the order of code points, which is how Python sorts.
        std::ranges::sort(members, {}, [](const auto* member) -> std::string_view { return member->first; });
    }
    out += '{';
    for (std::size_t i = 0; i < members.size(); ++i) {
        out.append(i == 0 ? "" : style.comma);
        style.canonical ? append_ascii_text(out, members[i]->first) : append_text(out, members[i]->first);
        out.append(style.colon);
        append(out, members[i]->second, style);
    }
    out += '}';
}

void append(std::string& out, const Value& value, const Style& style) {
    if (const auto* boolean = value.as<bool>()) {
        out.append(*boolean ? "true" : "false");
    } else if (const auto* number = value.as<Number>()) {
        out.append(number->text);
    } else if (const auto* text = value.as<std::string>()) {
        style.canonical ? append_ascii_text(out, *text) : append_text(out, *text);
    } else if (const auto* list = value.as<List>()) {
        append_list(out, *list, style);
    } else if (const auto* object = value.as<Object>()) {
        append_object(out, *object, style);
    } else {
        out.append("null");
    }
}

}  // namespace

std::string canonical(const Value& value) {
    std::string out;
    append(out, value, {true, ", ", ": "});
    return out;
}

std::string compact(const Value& value) {
    std::string out;
    append(out, value, {false, ",", ":"});
    return out;
}

void append_text(std::string& out, std::string_view text) {
    out += '"';
    std::size_t plain = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const char escape = short_escape(c);
        if (escape == 0 && static_cast<unsigned char>(c) >= 0x20) {
            continue;
        }
        out.append(text.substr(plain, i - plain));
        plain = i + 1;
        if (escape != 0) {
            out += '\\';
            out += escape;
        } else {
            append_escape(out, static_cast<unsigned char>(c));
        }
    }
    out.append(text.substr(plain));
    out += '"';
}

std::string text(std::string_view text) {
    std::string out;
    append_text(out, text);
    return out;
}

std::string list(const std::vector<std::string>& texts) {
    std::string out = "[";
    for (const auto& one : texts) {
        out.append(out.size() == 1 ? "" : ",");
        append_text(out, one);
    }
    return out + "]";
}

std::string python_repr(double number) {
    std::array<char, 40> buffer{};
    const auto [end, error] =
        std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, std::chars_format::scientific);
    (void)error;  // 40 characters hold every double
    std::string_view text{buffer.data(), static_cast<std::size_t>(end - buffer.data())};
    std::string out;
    if (text.front() == '-') {
        out += '-';
        text.remove_prefix(1);
    }
    const auto e = text.find('e');
    std::string digits{text.substr(0, 1)};
    if (e > 2) {
        digits.append(text.substr(2, e - 2));
    }
    int exponent = 0;
    const auto* sign = text.data() + e + 1;
    std::from_chars(*sign == '+' ? sign + 1 : sign, text.data() + text.size(), exponent);
    if (exponent < -4 || exponent >= 16) {
        out.append(1, digits[0]);
        if (digits.size() > 1) {
            out.append(".").append(digits, 1);
        }
        out.append(exponent < 0 ? "e-" : "e+");
        const auto magnitude = std::to_string(std::abs(exponent));
        return out.append(magnitude.size() < 2 ? "0" : "").append(magnitude);
    }
    if (exponent < 0) {
        return out.append("0.").append(static_cast<std::size_t>(-exponent - 1), '0').append(digits);
    }
    const auto whole = static_cast<std::size_t>(exponent) + 1;
    if (digits.size() <= whole) {
        return out.append(digits).append(whole - digits.size(), '0').append(".0");
    }
    return out.append(digits, 0, whole).append(".").append(digits, whole);
}

}  // namespace vmm::json
