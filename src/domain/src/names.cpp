#include "vmm/domain/names.h"

#include "vmm/base/ids.h"
#include "vmm/base/text.h"

#include <algorithm>

namespace vmm::domain {
namespace {

bool letter_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

bool made_of(std::string_view text, std::string_view also) {
    return std::ranges::all_of(text, [also](char c) { return letter_or_digit(c) || also.contains(c); });
}

}  // namespace

Result<void> check_vm_name(std::string_view name) {
    if (name.empty() || name.size() > 63) {
        return invalid("name", "a name has 1 to 63 characters, this one has " + std::to_string(name.size()));
    }
    if (!made_of(name, "-_.") || !letter_or_digit(name.front()) || !letter_or_digit(name.back())) {
        return invalid(
            "name",
            "a name is made of letters, digits, '-', '_' and '.', and begins and ends with a letter or "
            "digit; found " +
                quote(name)
        );
    }
    if (is_id("vm", name)) {
        return invalid("name", "a name must not look like an id");
    }
    return {};
}

Result<void> check_image_name(std::string_view name) {
    if (name.empty() || name.size() > 128 || !made_of(name, "-_.") || !letter_or_digit(name.front())) {
        return invalid(
            "image",
            "an image name is made of up to 128 letters, digits, '-', '_' and '.' and begins with a letter "
            "or digit; found " +
                quote(name)
        );
    }
    return {};
}

Result<void> check_labels(const std::map<std::string, std::string>& labels) {
    if (labels.size() > 64) {
        return invalid("labels", "at most 64 labels, found " + std::to_string(labels.size()));
    }
    for (const auto& [key, value] : labels) {
        if (key.empty() || key.size() > 63 || !made_of(key, "-_./")) {
            return invalid(
                "labels", "a label's key has 1 to 63 letters, digits, '-', '_', '.', '/'; found " + quote(key)
            );
        }
        if (value.size() > 255 || std::ranges::any_of(value, control)) {
            return invalid(
                "labels." + key, "a label's value has at most 255 bytes and no control characters"
            );
        }
    }
    return {};
}

Result<void> check_display_name(std::string_view name) {
    if (name.size() > 100 || std::ranges::any_of(name, control)) {
        return invalid("name", "a display name has at most 100 bytes and no control characters");
    }
    return {};
}

}  // namespace vmm::domain
