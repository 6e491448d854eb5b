#pragma once

#include "vmm/base/error.h"
#include "vmm/ports/signatures.h"

#include <boost/describe.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The .form image format, version 1; docs/form-image.md is its specification. Everything here is pure: bytes
// in, values out. Errors are `malformed` and say what is wrong with the image.
namespace vmm::form {

inline constexpr std::string_view magic{
    "\x89"
    "FORM\r\n\x1a",
    8
};
inline constexpr std::size_t header_bytes = 128;
inline constexpr std::size_t chunk_entry_bytes = 40;
inline constexpr std::uint32_t default_chunk_bytes = 1 << 20;
inline constexpr std::uint32_t largest_chunk_bytes = 16 << 20;
inline constexpr std::uint32_t least_chunk_bytes = 4096;
inline constexpr std::size_t largest_manifest = 1 << 20;
inline constexpr std::uint64_t most_chunks = 1 << 21;

// One file that the image carries: "disk", or "kernel" and "initrd".
struct File {
    std::string role;
    std::uint64_t bytes = 0;
    static constexpr std::array required{"role", "bytes"};
};
BOOST_DESCRIBE_STRUCT(File, (), (role, bytes))

struct Manifest {
    int format = 1;
    std::string name;
    std::string version;
    std::string architecture;
    std::string kind;  // "disk" or "kernel"
    std::string description;
    std::uint32_t chunk_bytes = default_chunk_bytes;
    std::vector<File> files;
    std::optional<std::uint32_t> vcpus;
    std::optional<std::uint32_t> memory_mib;
    std::optional<std::uint32_t> minimum_disk_gib;
    std::string command_line;
    std::string firmware;   // "bios" or "uefi"; of a disk
    std::string publisher;  // the signer's address, or empty
    static constexpr std::array
        required{"format", "name", "version", "architecture", "kind", "chunk_bytes", "files"};
};
BOOST_DESCRIBE_STRUCT(
    Manifest,
    (),
    (format,
     name,
     version,
     architecture,
     kind,
     description,
     chunk_bytes,
     files,
     vcpus,
     memory_mib,
     minimum_disk_gib,
     command_line,
     firmware,
     publisher)
)

// How one chunk stands in the payload: 0 bytes for one that is all zeros, as many as the chunk has when it is
// stored as it is, fewer for a zstd frame.
struct Chunk {
    std::uint32_t stored = 0;
    ports::Digest sha256{};  // of the chunk's content
};

// Where a chunk belongs.
struct Place {
    std::size_t file = 0;
    std::uint64_t offset = 0;  // in the file
    std::uint32_t bytes = 0;
};

struct Header {
    std::uint32_t manifest_bytes = 0;
    std::uint64_t chunks = 0;
    bool is_signed = false;
    std::array<std::uint8_t, 65> signature{};  // r, s, and v as 27 or 28

    // Header, manifest and chunk table: what must be read before the payload.
    [[nodiscard]] std::uint64_t index_bytes() const {
        return header_bytes + manifest_bytes + chunks * chunk_entry_bytes;
    }
};

// Everything of an image but its payload. Immutable once read or built.
struct Index {
    Header header;
    std::string manifest_text;
    Manifest manifest;
    std::vector<Chunk> chunks;

    [[nodiscard]] Place place(std::uint64_t chunk) const;
    [[nodiscard]] std::uint64_t content_bytes() const;
    [[nodiscard]] std::uint64_t payload_bytes() const;

    [[nodiscard]] std::uint64_t file_bytes() const { return header.index_bytes() + payload_bytes(); }

    // The Merkle root over manifest and chunks: what is signed.
    [[nodiscard]] ports::Digest root() const;

    // What the publisher signs as an EIP-191 personal message.
    [[nodiscard]] std::string signing_text() const;

    // "chunk 17 (disk, bytes 17825792 to 18874367)".
    [[nodiscard]] std::string describe(std::uint64_t chunk) const;
};

bool is_form(std::string_view start);

// The first header_bytes of an image.
Result<Header> read_header(std::string_view bytes);

// The first index_bytes() of an image. Checks that everything fits together, but no signature and no chunk.
Result<Index> read_index(std::string_view bytes);

std::string write_header(const Header& header);
std::string write_index(const Index& index);

// Whether the manifest can be packed. invalid, with the member.
Result<void> check_manifest(const Manifest& manifest);

std::uint64_t chunk_count(const Manifest& manifest);

// The content of a chunk from its stored bytes, verified. malformed, naming the chunk, when it is damaged.
Result<std::string> expand(const Index& index, std::uint64_t chunk, std::string_view stored);

// The table's entry of a chunk of zeros.
Chunk hole(std::uint32_t bytes);

// What stands in the payload for this content: nothing for zeros, a zstd frame, or the content itself when
// that is not larger.
std::string shrink(std::string_view content, int level);

// The signer, when the image is signed and the manifest names the same publisher. malformed otherwise.
Result<domain::Address> publisher(const Index& index, const ports::Signatures& signatures);

}  // namespace vmm::form
