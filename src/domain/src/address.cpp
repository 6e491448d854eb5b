#include "vmm/domain/address.h"

#include "vmm/base/text.h"

#include <algorithm>

namespace vmm::domain {

Address::Address(const Bytes& bytes, std::string_view text) : bytes_{bytes} {
    std::ranges::copy(text.substr(0, text_.size()), text_.begin());
}

std::optional<Address> Address::from_stored(std::string_view text) {
    const auto parsed = from_hex(text);
    if (text.size() != 42 || !text.starts_with("0x") || !parsed || parsed->size() != 20) {
        return std::nullopt;
    }
    Bytes bytes{};
    std::ranges::copy(*parsed, bytes.begin());
    return Address{bytes, text};
}

}  // namespace vmm::domain
