#include "vmm/base/text.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "probe.h"
#include "probe_formats.h"

namespace vmm::images {
namespace {

constexpr std::uint64_t sector = 512;
constexpr std::uint64_t largest_descriptor = 1 << 20;
constexpr std::size_t most_extents = 4096;
constexpr std::uint64_t largest_grain = 2048;  // sectors
constexpr std::uint64_t at_end = ~0ULL;        // the directory of a streamOptimized disk, told by its footer
constexpr std::uint64_t most_tables = 1 << 24;
constexpr std::string_view no_parent = "ffffffff";

// NAME=VALUE or NAME="VALUE"; nothing when the line is another.
std::optional<std::string> value_of(std::string_view line, std::string_view name) {
    const auto equals = line.find('=');
    if (equals == std::string_view::npos || !equals_ignoring_case(trim(line.substr(0, equals)), name)) {
        return std::nullopt;
    }
    auto value = trim(line.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
        value = value.substr(1, value.size() - 2);
    }
    return std::string{value};
}

// RW 4192256 SPARSE "name" [offset]
Result<std::optional<Member>> read_extent(std::string_view line) {
    const auto words = split(line, ' ');
    if (words.size() < 3 || (words[0] != "RW" && words[0] != "RDONLY" && words[0] != "NOACCESS")) {
        return std::optional<Member>{};
    }
    const auto sectors = parse_number<std::uint64_t>(words[1]);
    if (!sectors || *sectors > (1ULL << 54)) {
        return refused("image-corrupt", "an extent of the vmdk has no size: " + quote(line));
    }
    if (words[2] == "ZERO") {
        return std::optional{Member{"", 0, *sectors * sector}};
    }
    if (words[2] != "SPARSE" && words[2] != "FLAT") {
        return refused("image-unsupported", "extents of type " + quote(words[2]) + " are not supported");
    }
    const auto open = line.find('"');
    const auto close = line.rfind('"');
    if (open == std::string_view::npos || close <= open + 1) {
        return refused("image-corrupt", "an extent of the vmdk has no file: " + quote(line));
    }
    const auto name = line.substr(open + 1, close - open - 1);
    if (!plain_file_name(name)) {
        return refused(
            "image-extent-escapes", "the vmdk's extent " + quote(name) + " lies outside its folder"
        );
    }
    return std::optional{Member{std::string{name}, 0, *sectors * sector}};
}

// What the header of a file with data says of its shape; also of an extent, which need not describe itself.
Result<Found> read_vmdk_header(const Bytes& image) {
    const auto start = image.read(0, sector);
    if (start.size() < sector) {
        return refused("image-truncated", "the vmdk header is cut off");
    }
    const auto version = little_endian(start, 4, 4);
    const auto capacity = little_endian(start, 12, 8);
    const auto grain = little_endian(start, 20, 8);
    const auto entries = little_endian(start, 44, 4);
    if (version < 1 || version > 3) {
        return refused("image-unsupported", "vmdk version " + std::to_string(version) + " is not known");
    }
    if (capacity == 0 || capacity > (1ULL << 54)) {
        // QEMU would take such a file for a descriptor and open what it names.
        return refused("image-corrupt", "the vmdk header has no capacity");
    }
    if (grain < 1 || grain > largest_grain || (grain & (grain - 1)) != 0 || entries < 1 || entries > 512) {
        return refused("image-absurd-tables", "the vmdk's grains or grain tables are of absurd size");
    }
    if (start[72] != 0) {
        return refused("image-dirty", "the vmdk was not closed cleanly");
    }
    const auto directory_at = little_endian(start, 56, 8);
    if (directory_at != at_end && (directory_at > (1ULL << 54) || directory_at * sector >= image.size())) {
        return refused("image-truncated", "the vmdk ends before its grain directory does");
    }
    Found found;
    found.format = "vmdk";
    found.virtual_bytes = capacity * sector;
    return found;
}

}  // namespace

Result<Found> read_vmdk_descriptor(std::string_view text) {
    Found found;
    found.format = "vmdk";
    bool typed = false;
    for (const auto& whole : split(text.substr(0, text.find('\0')), '\n')) {
        const auto line = trim(whole);
        if (line.empty() || line.front() == '#') {
            continue;
        }
        if (const auto parent = value_of(line, "parentCID");
            parent && !equals_ignoring_case(*parent, no_parent)) {
            return refused("image-backing-file", "the vmdk needs a parent disk; export it as a whole");
        }
        if (value_of(line, "parentFileNameHint")) {
            return refused("image-backing-file", "the vmdk names a parent disk; export it as a whole");
        }
        if (const auto type = value_of(line, "createType")) {
            static constexpr std::array<std::string_view, 6> known{
                "monolithicSparse",
                "streamOptimized",
                "monolithicFlat",
                "twoGbMaxExtentSparse",
                "twoGbMaxExtentFlat",
                "custom"
            };
            typed = true;
            if (std::ranges::find(known, *type) == known.end()) {
                return refused(
                    "image-unsupported", "vmdk disks of type " + quote(*type) + " are not supported"
                );
            }
        }
        TRY(auto extent, read_extent(line));
        if (extent) {
            found.virtual_bytes += extent->bytes;
            found.extents.push_back(*std::move(extent));
        }
        if (found.extents.size() > most_extents) {
            return refused("image-absurd-tables", "the vmdk has more than 4096 extents");
        }
    }
    if (!typed || found.extents.empty()) {
        return refused("image-corrupt", "the vmdk's descriptor names no type or no extents");
    }
    return found;
}

Result<Found> probe_vmdk(const Bytes& image) {
    TRY(auto found, read_vmdk_header(image));
    const auto start = image.read(0, sector);
    const auto descriptor_at = little_endian(start, 28, 8);
    const auto descriptor_sectors = little_endian(start, 36, 8);
    if (descriptor_at != 0) {
        const auto bytes = descriptor_sectors * sector;
        if (descriptor_sectors > largest_descriptor / sector) {
            return refused("image-absurd-tables", "the vmdk's descriptor is of absurd size");
        }
        const auto text =
            image.read(descriptor_at > (1ULL << 50) ? image.size() : descriptor_at * sector, bytes);
        if (text.size() < bytes) {
            return refused("image-truncated", "the vmdk ends before its descriptor does");
        }
        TRY(const auto described, read_vmdk_descriptor(text));
        if (described.extents.size() != 1) {
            return refused(
                "image-corrupt",
                "a vmdk with data of its own names " + std::to_string(described.extents.size()) + " extents"
            );
        }
    }
    return found;
}

Result<void> check_vmdk_tables(const Bytes& image) {
    CHECK(read_vmdk_header(image));
    auto header = image.read(0, sector);
    if (little_endian(header, 56, 8) == at_end) {
        // Of a streamOptimized disk the last but one sector repeats the header, with the directory's place.
        header = image.size() < 3 * sector ? std::string{} : image.read(image.size() - 2 * sector, sector);
        if (!header.starts_with("KDMV")) {
            return refused("image-truncated", "the vmdk ends before its footer");
        }
    }
    const auto entries = little_endian(header, 44, 4);
    const auto reach = little_endian(header, 20, 8) * entries;
    const auto directory_at = little_endian(header, 56, 8);
    const auto tables = reach == 0 ? 0 : (little_endian(header, 12, 8) + reach - 1) / reach;
    if (entries > 512 || tables > most_tables || directory_at > (1ULL << 54)) {
        return refused("image-absurd-tables", "the vmdk's grain directory is of absurd size");
    }
    const auto directory = image.read(directory_at * sector, tables * 4);
    if (directory.size() < tables * 4) {
        return refused("image-truncated", "the vmdk ends within its grain directory");
    }
    std::uint64_t read = 0;
    for (std::size_t i = 0; i < directory.size(); i += 4) {
        const auto at = little_endian(directory, i, 4);
        if (at == 0) {
            continue;
        }
        const auto table = image.read(at * sector, entries * 4);
        // Tables do not share their place, so that reading them all reads no more than there is.
        if (table.size() < entries * 4 || (read += table.size()) > image.size()) {
            return refused("image-truncated", "the vmdk ends within a grain table");
        }
        for (std::size_t j = 0; j < table.size(); j += 4) {
            if (const auto grain = little_endian(table, j, 4); grain > 1 && grain * sector >= image.size()) {
                return refused("image-truncated", "the vmdk ends before its data does");
            }
        }
    }
    return {};
}

}  // namespace vmm::images
