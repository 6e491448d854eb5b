#pragma once

#include "vmm/json/value.h"

#include <string>
#include <string_view>
#include <vector>

namespace vmm::json {

// Exactly what Python's json.dumps(value, sort_keys=True) writes: the form that request signatures cover.
std::string canonical(const Value& value);

// The same value without blanks and in its own order, as UTF-8.
std::string compact(const Value& value);

// Appends `text` as a JSON string in UTF-8, escaping only what must be.
void append_text(std::string& out, std::string_view text);

// The same alone, and a list of such strings.
std::string text(std::string_view text);
std::string list(const std::vector<std::string>& texts);

// Python's repr() of a finite double: the shortest digits that read back as the same number.
std::string python_repr(double number);

}  // namespace vmm::json
