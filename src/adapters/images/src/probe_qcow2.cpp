#include <bit>
#include <set>

#include "probe.h"
#include "probe_formats.h"

namespace vmm::images {
namespace {

constexpr std::uint64_t dirty = 1;
constexpr std::uint64_t corrupt = 2;
constexpr std::uint64_t external_data = 4;
constexpr std::uint64_t compression_type = 8;
constexpr std::uint64_t extended_l2 = 16;
constexpr std::uint64_t known_features = 31;
constexpr std::uint64_t offset_mask = 0x00fffffffffffe00;
constexpr std::uint64_t compressed_entry = 1ULL << 62;
constexpr std::uint64_t largest_l1 = 32 << 20;  // bytes, as in QEMU
constexpr std::uint64_t largest_refcount_table = 8 << 20;
constexpr std::uint64_t most_snapshots = 256;
constexpr std::uint32_t data_file_extension = 0x44415441;

struct Header {
    std::uint64_t bytes = 0;
    std::uint64_t cluster = 0;
    std::uint64_t l1_entries = 0;
    std::uint64_t l1_at = 0;
    std::uint64_t entry = 8;  // bytes of an L2 entry
};

Result<void> check_features(std::string_view start) {
    const auto incompatible = big_endian(start, 72, 8);
    if ((incompatible & ~known_features) != 0) {
        return refused(
            "image-unknown-feature", "the qcow2 image uses incompatible features that are not known"
        );
    }
    if ((incompatible & dirty) != 0) {
        return refused(
            "image-dirty", "the qcow2 image was not closed cleanly; run qemu-img check -r all on it"
        );
    }
    if ((incompatible & corrupt) != 0) {
        return refused("image-corrupt", "the qcow2 image is marked corrupt");
    }
    if ((incompatible & external_data) != 0) {
        return refused("image-external-data", "the qcow2 image keeps its data in another file");
    }
    if ((incompatible & compression_type) != 0 && (start.size() < 105 || start[104] != 1)) {
        return refused("image-unknown-feature", "the qcow2 image is compressed in a way that is not known");
    }
    return {};
}

Result<void> check_extensions(std::string_view start, std::uint64_t at) {
    while (at + 8 <= start.size()) {
        const auto kind = big_endian(start, at, 4);
        const auto length = big_endian(start, at + 4, 4);
        if (kind == 0) {
            return {};
        }
        if (kind == data_file_extension) {
            return refused("image-external-data", "the qcow2 image names an external data file");
        }
        if (length > start.size()) {
            return refused("image-corrupt", "an extension of the qcow2 header is longer than the header");
        }
        at += 8 + (length + 7) / 8 * 8;
    }
    return {};
}

Result<Header> read(const Bytes& image) {
    const auto start = image.read(0, 4096);
    if (start.size() < 72) {
        return refused("image-truncated", "the qcow2 header is cut off");
    }
    const auto version = big_endian(start, 4, 4);
    if (version != 2 && version != 3) {
        return refused("image-unsupported", "qcow2 version " + std::to_string(version) + " is not known");
    }
    if (big_endian(start, 8, 8) != 0 || big_endian(start, 16, 4) != 0) {
        return refused(
            "image-backing-file",
            "the qcow2 image needs a backing file; flatten it with qemu-img convert -O qcow2"
        );
    }
    if (version == 3) {
        if (start.size() < 104) {
            return refused("image-truncated", "the qcow2 header is cut off");
        }
        CHECK(check_features(start));
    }
    CHECK(check_extensions(start, version == 3 ? big_endian(start, 100, 4) : 72));
    if (big_endian(start, 32, 4) != 0) {
        return refused("image-encrypted", "the qcow2 image is encrypted");
    }
    const auto bits = big_endian(start, 20, 4);
    if (bits < 9 || bits > 21) {
        return refused("image-corrupt", "the qcow2 image's clusters are of a size that cannot be");
    }
    Header header;
    header.bytes = big_endian(start, 24, 8);
    header.cluster = 1ULL << bits;
    header.l1_entries = big_endian(start, 36, 4);
    header.l1_at = big_endian(start, 40, 8);
    header.entry = version == 3 && (big_endian(start, 72, 8) & extended_l2) != 0 ? 16 : 8;
    const auto reach = header.cluster * (header.cluster / header.entry);
    if (header.l1_entries * 8 > largest_l1 ||
        big_endian(start, 56, 4) * header.cluster > largest_refcount_table) {
        return refused("image-absurd-tables", "the qcow2 image's L1 or refcount table is of absurd size");
    }
    if (header.bytes / reach > header.l1_entries) {
        return refused("image-corrupt", "the qcow2 image's L1 table is too small for its size");
    }
    const auto snapshots = big_endian(start, 60, 4);
    const auto snapshots_at = big_endian(start, 64, 8);
    if (snapshots > most_snapshots ||
        (snapshots > 0 && (snapshots_at >= image.size() || snapshots_at % header.cluster != 0))) {
        return refused("image-snapshots", "the qcow2 image's table of snapshots is of absurd size or place");
    }
    const auto refcounts_at = big_endian(start, 48, 8);
    const auto refcount_bytes = big_endian(start, 56, 4) * header.cluster;
    if (header.l1_at > image.size() || header.l1_entries * 8 > image.size() - header.l1_at ||
        refcounts_at > image.size() || refcount_bytes > image.size() - refcounts_at) {
        return refused("image-truncated", "the qcow2 image ends before its tables do");
    }
    return header;
}

Result<void> check_l2(const Bytes& image, const Header& header, std::uint64_t at) {
    const auto table = image.read(at, header.cluster);
    if (table.size() < header.cluster) {
        return refused("image-truncated", "the qcow2 image ends within an L2 table");
    }
    for (std::size_t i = 0; i < table.size(); i += header.entry) {
        const auto entry = big_endian(table, i, 8);
        if (entry == 0) {
            continue;
        }
        if ((entry & compressed_entry) != 0) {
            // Offset and number of sectors share the entry, at a place that depends on the cluster size.
            const auto bits = static_cast<unsigned>(std::countr_zero(header.cluster));
            const auto shift = 62 - (bits - 8);
            if ((entry & ((1ULL << shift) - 1)) >= image.size()) {
                return refused("image-truncated", "the qcow2 image ends before its data does");
            }
            continue;
        }
        const auto data = entry & offset_mask;
        if (data % header.cluster != 0) {
            return refused(
                "image-corrupt", "the qcow2 image points at data that is not at a cluster's start"
            );
        }
        // The last cluster may be cut short by a careful writer, never lie outside.
        if (data >= image.size() && data != 0) {
            return refused("image-truncated", "the qcow2 image ends before its data does");
        }
    }
    return {};
}

}  // namespace

Result<Found> probe_qcow2(const Bytes& image) {
    TRY(const auto header, read(image));
    Found found;
    found.format = "qcow2";
    found.virtual_bytes = header.bytes;
    return found;
}

Result<void> check_qcow2_tables(const Bytes& image) {
    TRY(const auto header, read(image));
    const auto l1 = image.read(header.l1_at, header.l1_entries * 8);
    std::set<std::uint64_t> seen;
    for (std::size_t i = 0; i + 8 <= l1.size(); i += 8) {
        const auto at = big_endian(l1, i, 8) & offset_mask;
        if (at == 0) {
            continue;
        }
        if (at % header.cluster != 0 || !seen.insert(at).second) {
            return refused(
                "image-corrupt", "the qcow2 image's L1 table points twice at one L2 table, or beside one"
            );
        }
        if (at >= image.size()) {
            return refused("image-truncated", "the qcow2 image ends before its L2 tables do");
        }
        CHECK(check_l2(image, header, at));
    }
    return {};
}

}  // namespace vmm::images
