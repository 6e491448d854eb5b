#include "bytes.h"

#include <unistd.h>

#include <algorithm>

namespace vmm::images {

Bytes Bytes::of_file(int file, std::uint64_t size) {
    return {
        [file](std::uint64_t at, std::size_t bytes) {
            std::string out(bytes, '\0');
            std::size_t have = 0;
            while (have < bytes) {
                const auto got =
                    ::pread(file, out.data() + have, bytes - have, static_cast<off_t>(at + have));
                if (got <= 0) {
                    break;
                }
                have += static_cast<std::size_t>(got);
            }
            out.resize(have);
            return out;
        },
        size
    };
}

Bytes Bytes::of_text(std::string_view text) {
    return {
        [text](std::uint64_t at, std::size_t bytes) { return std::string{text.substr(at, bytes)}; },
        text.size()
    };
}

Bytes Bytes::part(std::uint64_t at, std::uint64_t bytes) const {
    const auto from = std::min(at, size_);
    const auto size = std::min(bytes, size_ - from);
    return {
        [whole = *this, from, size](std::uint64_t offset, std::size_t count) {
            return whole.read(
                from + offset, static_cast<std::size_t>(std::min<std::uint64_t>(count, size - offset))
            );
        },
        size
    };
}

std::uint64_t big_endian(std::string_view from, std::size_t at, std::size_t bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) {
        value = (value << 8) | static_cast<unsigned char>(from[at + i]);
    }
    return value;
}

std::uint64_t little_endian(std::string_view from, std::size_t at, std::size_t bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = bytes; i-- > 0;) {
        value = (value << 8) | static_cast<unsigned char>(from[at + i]);
    }
    return value;
}

std::unexpected<Error> refused(std::string_view slug, std::string why) {
    return fail(Error{Code::invalid, std::move(why)}.with_slug(slug).with_field("image"));
}

}  // namespace vmm::images
