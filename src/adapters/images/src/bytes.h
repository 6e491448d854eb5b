#pragma once

#include "vmm/base/error.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace vmm::images {

// Random access to the bytes of an image, so that its headers can be read from a file, from a place within
// one, or from memory.
class Bytes {
public:
    using Read = std::function<std::string(std::uint64_t at, std::size_t bytes)>;

    Bytes(Read read, std::uint64_t size) : read_{std::move(read)}, size_{size} {}

    // The file stays open as long as these bytes are used.
    static Bytes of_file(int file, std::uint64_t size);
    static Bytes of_text(std::string_view text);

    // Fewer than asked for where the image ends.
    [[nodiscard]] std::string read(std::uint64_t at, std::size_t bytes) const {
        return at >= size_ ? std::string{} : read_(at, bytes);
    }

    [[nodiscard]] std::uint64_t size() const { return size_; }

    [[nodiscard]] Bytes part(std::uint64_t at, std::uint64_t bytes) const;

private:
    Read read_;
    std::uint64_t size_;
};

std::uint64_t big_endian(std::string_view from, std::size_t at, std::size_t bytes);
std::uint64_t little_endian(std::string_view from, std::size_t at, std::size_t bytes);

// Why an image is refused: `invalid` with the field "image" and this slug.
std::unexpected<Error> refused(std::string_view slug, std::string why);

}  // namespace vmm::images
