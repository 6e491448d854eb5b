#pragma once

#include "vmm/json/decode.h"
#include "vmm/json/value.h"
#include "vmm/json/write.h"

#include <array>
#include <charconv>

// Writing of described structs as compact UTF-8 JSON, straight into a string. Members appear in the order in
// which they are described; an empty optional is null, or left out where the struct says omit_empty.
namespace vmm::json {

template <class T>
void append(std::string& out, const T& value) {
    if constexpr (std::same_as<T, Value>) {
        out.append(compact(value));
    } else if constexpr (detail::is_optional<T>) {
        if (value) {
            append(out, *value);
        } else {
            out.append("null");
        }
    } else if constexpr (std::same_as<T, bool>) {
        out.append(value ? "true" : "false");
    } else if constexpr (std::integral<T>) {
        std::array<char, 24> digits{};
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
        out.append(digits.data(), static_cast<std::size_t>(end - digits.data()));
    } else if constexpr (std::convertible_to<T, std::string_view>) {
        append_text(out, value);
    } else if constexpr (std::is_enum_v<T>) {
        append_text(out, boost::describe::enum_to_string(value, "unknown"));
    } else if constexpr (detail::is_vector<T>) {
        out += '[';
        for (std::size_t i = 0; i < value.size(); ++i) {
            out.append(i == 0 ? "" : ",");
            append(out, value[i]);
        }
        out += ']';
    } else if constexpr (detail::is_map<T>) {
        out += '{';
        bool first = true;
        for (const auto& [key, member] : value) {
            out.append(std::exchange(first, false) ? "" : ",");
            append_text(out, key);
            out += ':';
            append(out, member);
        }
        out += '}';
    } else {
        static_assert(boost::describe::has_describe_members<T>::value, "describe this type first");
        out += '{';
        bool first = true;
        boost::mp11::mp_for_each<boost::describe::describe_members<T, boost::describe::mod_public>>(
            [&](auto member) {
                const auto& part = value.*member.pointer;
                if constexpr (requires { T::omit_empty; } &&
                              detail::is_optional<std::remove_cvref_t<decltype(part)>>) {
                    if (!part) {
                        return;
                    }
                }
                out.append(std::exchange(first, false) ? "\"" : ",\"").append(member.name).append("\":");
                append(out, part);
            }
        );
        out += '}';
    }
}

template <class T>
std::string encode(const T& value) {
    std::string out;
    append(out, value);
    return out;
}

}  // namespace vmm::json
