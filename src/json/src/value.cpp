#include "vmm/json/value.h"

namespace vmm::json {

const Value* Value::find(std::string_view key) const {
    if (const auto* object = as<Object>()) {
        for (const auto& [name, value] : *object) {
            if (name == key) {
                return &value;
            }
        }
    }
    return nullptr;
}

std::string_view Value::text_or(std::string_view key, std::string_view fallback) const {
    const auto* member = find(key);
    const auto* text = member == nullptr ? nullptr : member->as<std::string>();
    return text == nullptr ? fallback : std::string_view{*text};
}

}  // namespace vmm::json
