#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace vmm::domain {

// An Ethereum address: 20 bytes, and its EIP-55 spelling, which is made once where the address is recovered
// or read. Compared by the bytes alone.
class Address {
public:
    using Bytes = std::array<std::uint8_t, 20>;

    Address() = default;

    // The text must be the EIP-55 spelling of the bytes.
    Address(const Bytes& bytes, std::string_view text);

    // From the spelling that text() gave earlier. Nothing when it is not 0x and 40 hex digits.
    static std::optional<Address> from_stored(std::string_view text);

    [[nodiscard]] const Bytes& bytes() const { return bytes_; }

    [[nodiscard]] std::string_view text() const { return {text_.data(), text_.size()}; }

    bool operator==(const Address& other) const { return bytes_ == other.bytes_; }

    auto operator<=>(const Address& other) const { return bytes_ <=> other.bytes_; }

private:
    Bytes bytes_{};
    std::array<char, 42> text_{'0', 'x'};
};

struct AddressHash {
    std::size_t operator()(const Address& address) const {
        return std::hash<std::string_view>{
        }({reinterpret_cast<const char*>(address.bytes().data()), address.bytes().size()});
    }
};

}  // namespace vmm::domain
