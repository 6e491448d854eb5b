#include "vmm/images/qcow2.h"

#include "vmm/base/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <vector>

namespace vmm::images {
namespace {

constexpr std::uint32_t magic = 0x514649fb;  // "QFI\xfb"
constexpr std::uint32_t cluster_bits = 16;
constexpr std::uint64_t cluster = 1ULL << cluster_bits;
constexpr std::uint32_t header_length = 104;
constexpr std::uint32_t backing_format_extension = 0xe2792aca;
constexpr std::uint64_t incompatible_dirty = 1;
constexpr std::uint64_t incompatible_corrupt = 2;
constexpr std::uint64_t incompatible_data_file = 4;
constexpr std::uint64_t incompatible_known = 0x1f;

void put(std::string& out, std::size_t at, std::uint64_t value, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) {
        out[at + i] = static_cast<char>(value >> (8 * (bytes - 1 - i)));
    }
}

std::uint64_t get(std::string_view from, std::size_t at, std::size_t bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) {
        value = (value << 8) | static_cast<unsigned char>(from[at + i]);
    }
    return value;
}

// Header, refcount table, refcount block and L1 table, one after the other from the start of the file.
Result<std::string> image(std::uint64_t bytes, const std::optional<Backing>& backing) {
    const std::uint64_t l2_reach = cluster * (cluster / 8);  // 512 MiB per L1 entry
    const std::uint64_t l1_entries = (bytes + l2_reach - 1) / l2_reach;
    const std::uint64_t l1_clusters = (l1_entries * 8 + cluster - 1) / cluster;
    const std::uint64_t used = 3 + l1_clusters;
    std::string out(used * cluster, '\0');
    put(out, 0, magic, 4);
    put(out, 4, 3, 4);
    put(out, 20, cluster_bits, 4);
    put(out, 24, bytes, 8);
    put(out, 36, l1_entries, 4);
    put(out, 40, 3 * cluster, 8);  // L1 table
    put(out, 48, cluster, 8);      // refcount table
    put(out, 56, 1, 4);            // of one cluster
    put(out, 96, 4, 4);            // refcounts of 16 bits
    put(out, 100, header_length, 4);
    if (backing) {
        const auto name = backing->file.string();
        if (name.size() > 1023) {
            return fail(Code::invalid, "the image's path is longer than the 1023 bytes that qcow2 holds");
        }
        put(out, header_length, backing_format_extension, 4);
        put(out, header_length + 4, backing->format.size(), 4);
        out.replace(header_length + 8, backing->format.size(), backing->format);
        // The extension is padded to 8 bytes and followed by 8 zero bytes, the end of the extensions.
        const std::size_t name_at = header_length + 8 + 8 + 8;
        out.replace(name_at, name.size(), name);
        put(out, 8, name_at, 8);
        put(out, 16, name.size(), 4);
    }
    put(out, cluster, 2 * cluster, 8);
    for (std::uint64_t i = 0; i < used; ++i) {
        put(out, 2 * cluster + 2 * i, 1, 2);
    }
    return out;
}

}  // namespace

Result<void>
create_qcow2(const std::filesystem::path& file, std::uint64_t bytes, const std::optional<Backing>& backing) {
    TRY(const auto content, image(bytes, backing));
    const Fd fd{::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    if (!fd) {
        return errno == EEXIST ? fail(Code::conflict, "the disk exists")
                               : fail(os_error("creating the disk"));
    }
    std::string_view rest = content;
    while (!rest.empty()) {
        const auto written = ::write(fd.get(), rest.data(), rest.size());
        if (written <= 0 && errno != EINTR) {
            auto error = os_error("writing the disk");
            ::unlink(file.c_str());
            return fail(std::move(error));
        }
        rest.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
    }
    if (::fdatasync(fd.get()) != 0) {
        auto error = os_error("writing the disk");
        ::unlink(file.c_str());
        return fail(std::move(error));
    }
    return {};
}

Result<Qcow2Header> read_qcow2_header(std::string_view start) {
    if (start.size() < 72 || get(start, 0, 4) != magic) {
        return fail(Code::malformed, "not a qcow2 image");
    }
    const auto version = get(start, 4, 4);
    if (version != 2 && version != 3) {
        return fail(Code::malformed, "qcow2 version " + std::to_string(version) + " is not known");
    }
    if (version == 3 && start.size() < header_length) {
        return fail(Code::malformed, "the qcow2 header is cut off");
    }
    const auto incompatible = version == 3 ? get(start, 72, 8) : 0;
    if ((incompatible & ~incompatible_known) != 0) {
        return fail(Code::malformed, "the qcow2 image uses features that are not known");
    }
    return Qcow2Header{
        get(start, 24, 8),
        get(start, 8, 8) != 0,
        (incompatible & incompatible_data_file) != 0,
        (incompatible & (incompatible_dirty | incompatible_corrupt)) != 0,
    };
}

}  // namespace vmm::images
