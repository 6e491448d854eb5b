#pragma once

#include "vmm/base/error.h"

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace vmm::json {

class Value;

// A number by its text in Python's spelling, so that integers of any size and floats survive a reading
// unchanged.
struct Number {
    std::string text;
    bool integral = true;
    bool operator==(const Number&) const = default;
};

using List = std::vector<Value>;
// Members in the order they were written; the parser refuses a key that comes twice.
using Object = std::vector<std::pair<std::string, Value>>;

// One JSON value. A plain value type without sharing; not thread-safe while written.
class Value {
public:
    using Storage = std::variant<std::monostate, bool, Number, std::string, List, Object>;

    Value() = default;

    explicit Value(bool boolean) : storage_{boolean} {}

    explicit Value(Number number) : storage_{std::move(number)} {}

    explicit Value(std::string text) : storage_{std::move(text)} {}

    explicit Value(List list) : storage_{std::move(list)} {}

    explicit Value(Object object) : storage_{std::move(object)} {}

    static Value integer(std::int64_t number) { return Value{Number{std::to_string(number), true}}; }

    [[nodiscard]] bool is_null() const { return std::holds_alternative<std::monostate>(storage_); }

    // The value as this type, or nullptr when it is of another one.
    template <class T>
    [[nodiscard]] const T* as() const {
        return std::get_if<T>(&storage_);
    }

    template <class T>
    [[nodiscard]] T* as() {
        return std::get_if<T>(&storage_);
    }

    // The member of an object, or nullptr when there is none or this is no object.
    [[nodiscard]] const Value* find(std::string_view key) const;
    // A text member, or the fallback.
    [[nodiscard]] std::string_view text_or(std::string_view key, std::string_view fallback) const;

    [[nodiscard]] const Storage& storage() const { return storage_; }

private:
    Storage storage_;
};

// Deepest nesting of lists and objects that is read.
inline constexpr std::size_t max_depth = 64;

// Reads one JSON text, strictly (RFC 8259): no comments, no duplicate keys, valid UTF-8 without lone
// surrogates, numbers that a double can hold, nesting up to max_depth. Fails with malformed and says where.
Result<Value> parse(std::string_view text);

}  // namespace vmm::json
