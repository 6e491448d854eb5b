#include "probe.h"

#include "vmm/base/text.h"
#include "vmm/form/format.h"

#include <algorithm>
#include <array>

#include "probe_formats.h"

namespace vmm::images {
namespace {

constexpr std::uint64_t sector = 512;
constexpr std::size_t most_members = 10000;

struct Packed {
    std::string_view magic;
    std::string_view what;
};

constexpr std::array packings{
    Packed{std::string_view{"\x1f\x8b", 2}, "gzip"},
    Packed{
        std::string_view{
            "\xfd"
            "7zXZ\0",
            6
        },
        "xz"
    },
    Packed{std::string_view{"\x28\xb5\x2f\xfd", 4}, "zstd"},
    Packed{std::string_view{"BZh", 3}, "bzip2"},
    Packed{std::string_view{"PK\x03\x04", 4}, "zip"},
    Packed{std::string_view{"7z\xbc\xaf\x27\x1c", 6}, "7z"},
    Packed{std::string_view{"\x04\x22\x4d\x18", 4}, "lz4"},
};

Result<Found> probe_vdi(std::string_view start) {
    if (start.size() < 0x1a8) {
        return refused("image-truncated", "the vdi header is cut off");
    }
    const auto type = little_endian(start, 0x4c, 4);
    const auto parent = start.substr(0x1a8, 16);
    if (type != 1 && type != 2) {
        return refused("image-backing-file", "the vdi is a differencing disk; clone it as a whole");
    }
    if (std::ranges::any_of(parent, [](char c) { return c != 0; })) {
        return refused("image-backing-file", "the vdi needs a parent disk");
    }
    return Found{"vdi", little_endian(start, 0x170, 8), {}, {}};
}

Result<Found> probe_vpc(std::string_view footer) {
    if (footer.size() < sector) {
        return refused("image-truncated", "the vhd footer is cut off");
    }
    const auto type = big_endian(footer, 60, 4);
    if (type == 4) {
        return refused("image-backing-file", "the vhd is a differencing disk");
    }
    if (type != 2 && type != 3) {
        return refused("image-unsupported", "vhd disks of type " + std::to_string(type) + " are not known");
    }
    return Found{"vpc", big_endian(footer, 48, 8), {}, {}};
}

Result<Found> probe_archive(const Bytes& image) {
    Found found;
    found.format = "ova";
    TRY(found.members, read_tar(image));
    return found;
}

Result<Found> probe_form(const Bytes& image, std::string_view start) {
    TRY(const auto header, form::read_header(start.substr(0, form::header_bytes)));
    if (image.size() < header.index_bytes()) {
        return refused("image-truncated", "the .form image is cut off within its index");
    }
    const auto index = form::read_index(image.read(0, header.index_bytes()));
    if (!index) {
        return refused("image-corrupt", index.error().message());
    }
    if (image.size() < index->file_bytes()) {
        return refused(
            "image-truncated",
            "the .form image has " + std::to_string(image.size()) + " bytes of " +
                std::to_string(index->file_bytes())
        );
    }
    return Found{"form", index->content_bytes(), {}, {}};
}

Result<Found> probe_raw(const Bytes& image) {
    if (image.size() % sector != 0) {
        return refused(
            "image-truncated",
            "it is in no known format, and as a raw disk it is not a whole number of 512-byte sectors"
        );
    }
    return Found{"raw", image.size(), {}, {}};
}

Result<Found> tell_apart(const Bytes& image) {
    const auto start = image.read(0, 4096);
    if (start.empty()) {
        return refused("image-empty", "it is empty");
    }
    if (start.starts_with("QFI\xfb")) {
        return probe_qcow2(image);
    }
    if (start.starts_with("KDMV")) {
        return probe_vmdk(image);
    }
    if (start.starts_with("# Disk DescriptorFile")) {
        return image.size() > (1 << 20)
                   ? refused("image-absurd-tables", "the vmdk's descriptor is of absurd size")
                   : read_vmdk_descriptor(image.read(0, 1 << 20));
    }
    if (start.starts_with("COWD")) {
        return refused(
            "image-unsupported",
            "vmdk disks of ESX's COWD kind are not supported; export it as streamOptimized"
        );
    }
    if (start.starts_with("vhdxfile")) {
        return Found{"vhdx", 0, {}, {}};
    }
    if (start.size() >= 0x44 && little_endian(start, 0x40, 4) == 0xbeda107f) {
        return probe_vdi(start);
    }
    if (start.starts_with("conectix")) {
        return probe_vpc(start);
    }
    if (form::is_form(start)) {
        return probe_form(image, start);
    }
    if (start.size() >= 263 && std::string_view{start}.substr(257, 5) == "ustar") {
        return probe_archive(image);
    }
    for (const auto& [magic, what] : packings) {
        if (start.starts_with(magic)) {
            return refused(
                "image-compressed", "it is packed with " + std::string{what} + "; unpack it first"
            );
        }
    }
    if (image.size() > sector) {
        const auto footer = image.read(image.size() - sector, sector);
        if (footer.starts_with("conectix")) {
            return probe_vpc(footer);
        }
    }
    return probe_raw(image);
}

}  // namespace

bool plain_file_name(std::string_view name) {
    return !name.empty() && name.size() <= 255 && !name.contains('/') && !name.contains('\\') &&
           !name.contains('\0') && !name.starts_with('.');
}

Result<std::vector<Member>> read_tar(const Bytes& archive) {
    std::vector<Member> members;
    std::uint64_t at = 0;
    while (true) {
        const auto header = archive.read(at, sector);
        if (header.size() < sector) {
            return refused("image-truncated", "the archive ends before its end mark");
        }
        if (header[0] == 0) {
            return members;
        }
        const auto field = [&header](std::size_t from, std::size_t length) {
            const auto text = std::string_view{header}.substr(from, length);
            return text.substr(0, text.find('\0'));
        };
        const auto digits = trim(field(124, 12));
        std::uint64_t bytes = 0;
        for (const char c : digits) {
            if (c < '0' || c > '7') {
                return refused("image-unsupported", "the archive has a member whose size cannot be read");
            }
            bytes = bytes * 8 + static_cast<std::uint64_t>(c - '0');
        }
        const std::string name{field(0, 100)};
        const char kind = header[156];
        at += sector;
        if (bytes > archive.size() - std::min(at, archive.size())) {
            return refused("image-truncated", "the archive ends within its member " + quote(name));
        }
        if (kind == '0' || kind == '\0') {
            if (!plain_file_name(name)) {
                return refused(
                    "image-extent-escapes", "the archive's member " + quote(name) + " lies outside its folder"
                );
            }
            members.push_back({name, at, bytes});
        } else if (kind != 'x' && kind != 'g') {
            return refused("image-unsupported", "the archive's member " + quote(name) + " is no plain file");
        }
        if (members.size() > most_members) {
            return refused("image-absurd-tables", "the archive has more than 10000 members");
        }
        at += (bytes + sector - 1) / sector * sector;
    }
}

Result<void> check_tables(const Bytes& image) {
    const auto magic = image.read(0, 4);
    return magic == "QFI\xfb" ? check_qcow2_tables(image)
           : magic == "KDMV"  ? check_vmdk_tables(image)
                              : Result<void>{};
}

Result<Found> probe(const Bytes& image, std::uint64_t most_virtual_bytes) {
    TRY(auto found, tell_apart(image));
    if (found.virtual_bytes > most_virtual_bytes) {
        return refused(
            "image-too-large",
            "its virtual size of " + std::to_string(found.virtual_bytes >> 30) +
                " GiB is over the limit of " + std::to_string(most_virtual_bytes >> 30) + " GiB"
        );
    }
    return found;
}

}  // namespace vmm::images
