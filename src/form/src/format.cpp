#include "vmm/form/format.h"

#include "vmm/base/text.h"
#include "vmm/crypto/sha256.h"
#include "vmm/json/decode.h"
#include "vmm/json/encode.h"

#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <numeric>

namespace vmm::form {
namespace {

using ports::Digest;

constexpr std::uint32_t version = 1;
constexpr std::uint64_t largest_file = 64ULL << 40;

void put(std::string& out, std::uint64_t value, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) {
        out += static_cast<char>(value >> (8 * i));
    }
}

std::uint64_t get(std::string_view from, std::size_t at, std::size_t bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = bytes; i-- > 0;) {
        value = (value << 8) | static_cast<unsigned char>(from[at + i]);
    }
    return value;
}

std::string_view text_of(const Digest& digest) {
    return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::unexpected<Error> damaged(std::string why) {
    return fail(Error{Code::malformed, std::move(why)}.with_slug("form-damaged"));
}

std::uint64_t chunks_of(std::uint64_t bytes, std::uint32_t chunk_bytes) {
    return (bytes + chunk_bytes - 1) / chunk_bytes;
}

// All of each level in place of the one below it.
Digest merkle(std::vector<Digest> level) {
    if (level.empty()) {
        return crypto::sha256({});
    }
    while (level.size() > 1) {
        std::size_t out = 0;
        for (std::size_t i = 0; i < level.size(); i += 2) {
            if (i + 1 == level.size()) {
                level[out++] = level[i];
                continue;
            }
            std::string node{'\1'};
            node.append(text_of(level[i])).append(text_of(level[i + 1]));
            level[out++] = crypto::sha256(node);
        }
        level.resize(out);
    }
    return level.front();
}

bool all_zero(std::string_view bytes) {
    return bytes.empty() ||
           (bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

// Zeros are hashed once for each length: disks are mostly empty.
Digest digest_of_zeros(std::uint32_t bytes) {
    static std::mutex mutex;
    static std::map<std::uint32_t, Digest> known;
    const std::lock_guard lock{mutex};
    const auto [place, fresh] = known.try_emplace(bytes);
    if (fresh) {
        place->second = crypto::sha256(std::string(bytes, '\0'));
        if (known.size() > 64) {
            const auto kept = *place;
            known.clear();
            known.insert(kept);
            return kept.second;
        }
    }
    return place->second;
}

bool plain(std::string_view text, std::size_t most) {
    return text.size() <= most && std::ranges::all_of(text, [](char c) {
               return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
           });
}

Result<void> check_roles(const Manifest& manifest) {
    const auto has = [&manifest](std::string_view role) {
        return std::ranges::count(manifest.files, role, &File::role);
    };
    if (manifest.kind == "disk" && has("disk") == 1 && manifest.files.size() == 1) {
        return {};
    }
    if (manifest.kind == "kernel" && has("kernel") == 1 &&
        static_cast<std::size_t>(1 + has("initrd")) == manifest.files.size() && has("initrd") <= 1) {
        return {};
    }
    return invalid(
        "files",
        "kind disk carries one file \"disk\"; kind kernel carries \"kernel\" and may carry \"initrd\""
    );
}

}  // namespace

bool is_form(std::string_view start) {
    return start.starts_with(magic);
}

Result<void> check_manifest(const Manifest& manifest) {
    if (manifest.format != 1) {
        return invalid("format", "this program knows format 1");
    }
    if (manifest.name.empty() || !plain(manifest.name, 128) || manifest.name.contains('/') ||
        manifest.name.starts_with('.')) {
        return invalid("name", "expected 1 to 128 characters without \"/\" and without a leading dot");
    }
    if (manifest.version.empty() || !plain(manifest.version, 64)) {
        return invalid("version", "expected 1 to 64 characters");
    }
    if (manifest.architecture != "x86_64") {
        return invalid("architecture", "expected x86_64, found " + quote(manifest.architecture));
    }
    if (!plain(manifest.description, 1000)) {
        return invalid("description", "expected at most 1000 characters");
    }
    if (manifest.chunk_bytes < least_chunk_bytes || manifest.chunk_bytes > largest_chunk_bytes ||
        (manifest.chunk_bytes & (manifest.chunk_bytes - 1)) != 0) {
        return invalid("chunk_bytes", "expected a power of two from 4096 to 16777216");
    }
    if (!plain(manifest.command_line, 1500) || manifest.command_line.contains('"')) {
        return invalid("command_line", "expected at most 1500 printable characters without quotes");
    }
    if (!manifest.firmware.empty() && manifest.firmware != "bios" && manifest.firmware != "uefi") {
        return invalid("firmware", "expected bios or uefi, found " + quote(manifest.firmware));
    }
    if (std::ranges::any_of(manifest.files, [](const File& file) { return file.bytes > largest_file; })) {
        return invalid("files", "a file is larger than 64 TiB");
    }
    CHECK(check_roles(manifest));
    if (chunk_count(manifest) > most_chunks) {
        return invalid(
            "chunk_bytes", "the image would have more than " + std::to_string(most_chunks) + " chunks"
        );
    }
    return {};
}

std::uint64_t chunk_count(const Manifest& manifest) {
    return std::accumulate(
        manifest.files.begin(),
        manifest.files.end(),
        std::uint64_t{0},
        [&manifest](std::uint64_t sum, const File& file) {
            return sum + chunks_of(file.bytes, manifest.chunk_bytes);
        }
    );
}

Place Index::place(std::uint64_t chunk) const {
    for (std::size_t file = 0; file < manifest.files.size(); ++file) {
        const auto& [role, bytes] = manifest.files[file];
        const auto here = chunks_of(bytes, manifest.chunk_bytes);
        if (chunk < here) {
            const auto offset = chunk * manifest.chunk_bytes;
            return {
                file,
                offset,
                static_cast<std::uint32_t>(std::min<std::uint64_t>(manifest.chunk_bytes, bytes - offset))
            };
        }
        chunk -= here;
    }
    return {};
}

std::uint64_t Index::content_bytes() const {
    return std::accumulate(
        manifest.files.begin(),
        manifest.files.end(),
        std::uint64_t{0},
        [](std::uint64_t sum, const File& file) { return sum + file.bytes; }
    );
}

std::uint64_t Index::payload_bytes() const {
    return std::accumulate(
        chunks.begin(),
        chunks.end(),
        std::uint64_t{0},
        [](std::uint64_t sum, const Chunk& chunk) { return sum + chunk.stored; }
    );
}

Digest Index::root() const {
    std::vector<Digest> leaves;
    leaves.reserve(chunks.size());
    for (std::uint64_t i = 0; i < chunks.size(); ++i) {
        std::string leaf{'\0'};
        put(leaf, i, 8);
        put(leaf, place(i).bytes, 4);
        leaf.append(text_of(chunks[i].sha256));
        leaves.push_back(crypto::sha256(leaf));
    }
    std::string top{'\2'};
    top.append(text_of(crypto::sha256(manifest_text))).append(text_of(merkle(std::move(leaves))));
    return crypto::sha256(top);
}

std::string Index::signing_text() const {
    return "Formation image\nname: " + manifest.name + "\nversion: " + manifest.version + "\nroot: 0x" +
           to_hex(root());
}

std::string Index::describe(std::uint64_t chunk) const {
    const auto where = place(chunk);
    return "chunk " + std::to_string(chunk) + " (" + manifest.files[where.file].role + ", bytes " +
           std::to_string(where.offset) + " to " + std::to_string(where.offset + where.bytes - 1) + ")";
}

Result<Header> read_header(std::string_view bytes) {
    if (bytes.size() < header_bytes || !is_form(bytes)) {
        return damaged("the image is cut off within its header");
    }
    if (get(bytes, 8, 4) != version) {
        return damaged(".form version " + std::to_string(get(bytes, 8, 4)) + " is not known");
    }
    Header header;
    header.manifest_bytes = static_cast<std::uint32_t>(get(bytes, 12, 4));
    header.chunks = get(bytes, 16, 8);
    header.is_signed = bytes[24] == 1;
    std::copy_n(reinterpret_cast<const std::uint8_t*>(bytes.data()) + 25, 65, header.signature.begin());
    const bool rest_is_zero = all_zero(bytes.substr(90, header_bytes - 90));
    if ((bytes[24] != 0 && bytes[24] != 1) || !rest_is_zero) {
        return damaged("the header has bits set that must be zero");
    }
    if (header.manifest_bytes == 0 || header.manifest_bytes > largest_manifest ||
        header.chunks > most_chunks) {
        return damaged("the header claims a manifest or a number of chunks of absurd size");
    }
    return header;
}

Result<Index> read_index(std::string_view bytes) {
    Index index;
    TRY(index.header, read_header(bytes));
    const auto& header = index.header;
    if (bytes.size() < header.index_bytes()) {
        return damaged("the image is cut off within its index");
    }
    index.manifest_text = bytes.substr(header_bytes, header.manifest_bytes);
    auto manifest = json::decode_text<Manifest>(index.manifest_text);
    if (!manifest) {
        return damaged("the manifest: " + manifest.error().field() + " " + manifest.error().message());
    }
    index.manifest = *std::move(manifest);
    if (const auto sound = check_manifest(index.manifest); !sound) {
        return damaged("the manifest: " + sound.error().field() + ": " + sound.error().message());
    }
    if (chunk_count(index.manifest) != header.chunks) {
        return damaged(
            "the manifest's files have " + std::to_string(chunk_count(index.manifest)) +
            " chunks, the header says " + std::to_string(header.chunks)
        );
    }
    index.chunks.resize(header.chunks);
    auto table = bytes.substr(header_bytes + header.manifest_bytes);
    for (std::uint64_t i = 0; i < header.chunks; ++i, table.remove_prefix(chunk_entry_bytes)) {
        auto& chunk = index.chunks[i];
        chunk.stored = static_cast<std::uint32_t>(get(table, 0, 4));
        std::copy_n(reinterpret_cast<const std::uint8_t*>(table.data()) + 8, 32, chunk.sha256.begin());
        if (get(table, 4, 4) != 0 || chunk.stored > index.place(i).bytes) {
            return damaged("the table's entry of " + index.describe(i) + " cannot be true");
        }
    }
    return index;
}

std::string write_header(const Header& header) {
    std::string out{magic};
    put(out, version, 4);
    put(out, header.manifest_bytes, 4);
    put(out, header.chunks, 8);
    out += header.is_signed ? '\1' : '\0';
    out.append(reinterpret_cast<const char*>(header.signature.data()), header.signature.size());
    out.resize(header_bytes, '\0');
    return out;
}

std::string write_index(const Index& index) {
    auto out = write_header(index.header);
    out.append(index.manifest_text);
    for (const auto& chunk : index.chunks) {
        put(out, chunk.stored, 4);
        put(out, 0, 4);
        out.append(text_of(chunk.sha256));
    }
    return out;
}

Result<std::string> expand(const Index& index, std::uint64_t chunk, std::string_view stored) {
    const auto bytes = index.place(chunk).bytes;
    const auto& entry = index.chunks[chunk];
    if (stored.size() != entry.stored) {
        return damaged(index.describe(chunk) + " is cut off");
    }
    std::string content;
    if (stored.empty()) {
        if (entry.sha256 != digest_of_zeros(bytes)) {
            return damaged(index.describe(chunk) + " is damaged: its SHA-256 differs from the table's");
        }
        content.assign(bytes, '\0');
        return content;
    }
    if (stored.size() == bytes) {
        content = stored;
    } else {
        content.resize(bytes);
        // Never writes beyond what the chunk may have, whatever the frame claims.
        const auto got = ZSTD_decompress(content.data(), content.size(), stored.data(), stored.size());
        if (ZSTD_isError(got) != 0 || got != bytes) {
            return damaged(index.describe(chunk) + " is damaged: it does not decompress");
        }
    }
    if (crypto::sha256(content) != entry.sha256) {
        return damaged(index.describe(chunk) + " is damaged: its SHA-256 differs from the table's");
    }
    return content;
}

Chunk hole(std::uint32_t bytes) {
    return {0, digest_of_zeros(bytes)};
}

std::string shrink(std::string_view content, int level) {
    if (all_zero(content)) {
        return {};
    }
    std::string out(ZSTD_compressBound(content.size()), '\0');
    const auto size = ZSTD_compress(out.data(), out.size(), content.data(), content.size(), level);
    if (ZSTD_isError(size) != 0 || size >= content.size()) {
        return std::string{content};
    }
    out.resize(size);
    return out;
}

Result<domain::Address> publisher(const Index& index, const ports::Signatures& signatures) {
    if (!index.header.is_signed) {
        return damaged("the image is not signed");
    }
    ports::Signature signature;
    std::copy_n(index.header.signature.begin(), 64, signature.rs.begin());
    signature.recovery_id = index.header.signature[64] - 27;
    if (signature.recovery_id != 0 && signature.recovery_id != 1) {
        return damaged("the signature's last byte must be 27 or 28");
    }
    auto signer = signatures.recover(signatures.personal_digest(index.signing_text()), signature);
    if (!signer) {
        return damaged("the signature cannot be read: " + signer.error().message());
    }
    const auto named = signatures.parse_address(index.manifest.publisher);
    if (!named || *named != *signer) {
        return damaged(
            "the manifest names the publisher " + quote(index.manifest.publisher) +
            ", but the signature is of " + std::string{signer->text()}
        );
    }
    return *signer;
}

}  // namespace vmm::form
