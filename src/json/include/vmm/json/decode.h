#pragma once

#include "vmm/base/text.h"
#include "vmm/json/value.h"

#include <boost/describe.hpp>
#include <boost/mp11.hpp>

#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

// Strict reading of JSON into described structs: unknown members are refused, absent ones keep their default
// unless the struct lists them in `static constexpr std::array required`, numbers must fit. Errors are
// `invalid` with the member's path, such as disks[1].size_gib.
namespace vmm::json {

namespace detail {

namespace describe = boost::describe;

template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;
template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_map = false;
template <class T>
inline constexpr bool is_map<std::map<std::string, T>> = true;

template <class T>
Result<void> read(const Value& value, T& out, const std::string& path);

inline std::string joined(const std::string& path, std::string_view name) {
    return path.empty() ? std::string{name} : path + "." + std::string{name};
}

template <class T>
Result<void> read_enum(const Value& value, T& out, const std::string& path) {
    const auto* text = value.as<std::string>();
    if (text == nullptr) {
        return invalid(path, "expected text");
    }
    if (describe::enum_from_string(text->c_str(), out)) {
        return {};
    }
    std::string names;
    boost::mp11::mp_for_each<describe::describe_enumerators<T>>([&names](auto row) {
        names.append(names.empty() ? "" : ", ").append(row.name);
    });
    return invalid(path, quote(*text) + " is not one of " + names);
}

template <class T>
Result<void> read_members(const Object& object, T& out, const std::string& path) {
    using Members = describe::describe_members<T, describe::mod_public>;
    for (const auto& [key, value] : object) {
        bool known = false;
        Result<void> result;
        boost::mp11::mp_for_each<Members>([&](auto member) {
            if (key == member.name) {
                known = true;
                result = read(value, out.*member.pointer, joined(path, key));
            }
        });
        CHECK(result);
        if (!known) {
            std::vector<std::string> names;
            boost::mp11::mp_for_each<Members>([&names](auto member) { names.emplace_back(member.name); });
            auto error = Error{Code::invalid, "the field " + quote(key) + " is not known here"};
            if (const auto near = nearest(key, names)) {
                error = std::move(error).with_hint("did you mean \"" + *near + "\"?");
            }
            return fail(std::move(error)
                            .with_slug("unknown-field")
                            .with_field(joined(path, quote(key, 64).substr(1, key.size()))));
        }
    }
    if constexpr (requires { T::required; }) {
        for (const std::string_view name : T::required) {
            if (Value{object}.find(name) == nullptr) {
                return invalid(joined(path, name), "is required");
            }
        }
    }
    return {};
}

template <class T>
Result<void> read_list(const Value& value, T& out, const std::string& path) {
    const auto* list = value.as<List>();
    if (list == nullptr) {
        return invalid(path, "expected a list");
    }
    for (std::size_t i = 0; i < list->size(); ++i) {
        CHECK(read((*list)[i], out.emplace_back(), path + "[" + std::to_string(i) + "]"));
    }
    return {};
}

template <class T>
Result<void> read_map(const Value& value, T& out, const std::string& path) {
    const auto* object = value.as<Object>();
    if (object == nullptr) {
        return invalid(path, "expected an object");
    }
    for (const auto& [key, member] : *object) {
        CHECK(read(member, out[key], joined(path, key)));
    }
    return {};
}

template <class T>
Result<void> read_integer(const Value& value, T& out, const std::string& path) {
    const auto* number = value.as<Number>();
    if (number == nullptr || !number->integral) {
        return invalid(path, "expected a whole number");
    }
    const auto parsed = parse_number<T>(number->text);
    if (!parsed) {
        return invalid(path, number->text.substr(0, 40) + " is out of range");
    }
    out = *parsed;
    return {};
}

template <class T>
Result<void> read(const Value& value, T& out, const std::string& path) {
    if constexpr (std::same_as<T, Value>) {
        out = value;
        return {};
    } else if constexpr (is_optional<T>) {
        if (value.is_null()) {
            out.reset();
            return {};
        }
        return read(value, out.emplace(), path);
    } else if constexpr (std::same_as<T, bool>) {
        const auto* boolean = value.as<bool>();
        if (boolean == nullptr) {
            return invalid(path, "expected true or false");
        }
        out = *boolean;
        return {};
    } else if constexpr (std::integral<T>) {
        return read_integer(value, out, path);
    } else if constexpr (std::same_as<T, std::string>) {
        const auto* text = value.as<std::string>();
        if (text == nullptr) {
            return invalid(path, "expected text");
        }
        out = *text;
        return {};
    } else if constexpr (std::is_enum_v<T>) {
        return read_enum(value, out, path);
    } else if constexpr (is_vector<T>) {
        return read_list(value, out, path);
    } else if constexpr (is_map<T>) {
        return read_map(value, out, path);
    } else {
        static_assert(describe::has_describe_members<T>::value, "describe this type first");
        const auto* object = value.as<Object>();
        if (object == nullptr) {
            return invalid(path, "expected an object");
        }
        return read_members(*object, out, path);
    }
}

}  // namespace detail

// `value` as a T. invalid, with the field's path.
template <class T>
Result<T> decode(const Value& value) {
    T out{};
    CHECK(detail::read(value, out, ""));
    return out;
}

// The same from text. malformed, invalid.
template <class T>
Result<T> decode_text(std::string_view text) {
    TRY(const auto value, parse(text));
    return decode<T>(value);
}

}  // namespace vmm::json
