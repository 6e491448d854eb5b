#include "vmm/images/qcow2.h"

#include "vmm/base/fault.h"
#include "vmm/base/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "bytes.h"

namespace vmm::images {
namespace {

constexpr std::uint32_t magic = 0x514649fb;  // "QFI\xfb"
constexpr std::uint32_t cluster_bits = 16;
constexpr std::uint64_t cluster = 1ULL << cluster_bits;
constexpr std::uint64_t l2_reach = cluster * (cluster / 8);  // 512 MiB per L1 entry
constexpr std::uint32_t header_length = 104;
constexpr std::uint32_t backing_format_extension = 0xe2792aca;

void put(std::string& out, std::size_t at, std::uint64_t value, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) {
        out[at + i] = static_cast<char>(value >> (8 * (bytes - 1 - i)));
    }
}

// Header, refcount table, refcount block and L1 table, one after the other from the start of the file. The L1
// table fills its clusters, so that the image can grow (to 4 TiB at least) by its header alone.
Result<std::string> image(std::uint64_t bytes, const std::optional<Backing>& backing) {
    const std::uint64_t l1_clusters =
        std::max<std::uint64_t>(1, ((bytes + l2_reach - 1) / l2_reach * 8 + cluster - 1) / cluster);
    const std::uint64_t used = 3 + l1_clusters;
    std::string out(used * cluster, '\0');
    put(out, 0, magic, 4);
    put(out, 4, 3, 4);
    put(out, 20, cluster_bits, 4);
    put(out, 24, bytes, 8);
    put(out, 36, l1_clusters * (cluster / 8), 4);
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

Result<void> write_all(int file, std::string_view rest) {
    while (!rest.empty()) {
        const auto written = ::write(file, rest.data(), rest.size());
        if (written <= 0 && errno != EINTR) {
            return fail(os_error("writing the disk"));
        }
        rest.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
    }
    if (::fdatasync(file) != 0) {
        return fail(os_error("writing the disk"));
    }
    return {};
}

Result<std::string> header_of(int file) {
    std::string start(header_length, '\0');
    if (::pread(file, start.data(), start.size(), 0) != static_cast<ssize_t>(start.size()) ||
        big_endian(start, 0, 4) != magic) {
        return fail(Code::malformed, "the disk is no qcow2 image");
    }
    return start;
}

}  // namespace

Result<void>
create_qcow2(const std::filesystem::path& file, std::uint64_t bytes, const std::optional<Backing>& backing) {
    std::error_code failed;
    if (std::filesystem::exists(file, failed)) {
        return fail(Code::conflict, "the disk exists");
    }
    TRY(const auto content, image(bytes, backing));
    const auto draft = draft_of(file);
    const Fd fd{::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
    if (!fd) {
        return fail(os_error("creating the disk"));
    }
    fault_point("disk.opened");
    auto done = write_all(fd.get(), content);
    if (done && ::fdatasync(fd.get()) != 0) {
        done = fail(os_error("writing the disk"));
    }
    fault_point("disk.written");
    // Under its name it is whole, or not there at all.
    if (done && ::rename(draft.c_str(), file.c_str()) != 0) {
        done = fail(os_error("naming the disk"));
    }
    fault_point("disk.named");
    if (!done) {
        ::unlink(draft.c_str());
    }
    return done;
}

std::filesystem::path draft_of(const std::filesystem::path& file) {
    return file.string() + ".new";
}

Result<bool> grow_qcow2(const std::filesystem::path& file, std::uint64_t bytes) {
    const Fd fd{::open(file.c_str(), O_RDWR | O_CLOEXEC)};
    if (!fd) {
        return fail(os_error("opening the disk"));
    }
    TRY(const auto start, header_of(fd.get()));
    const auto now_bytes = big_endian(start, 24, 8);
    if (bytes < now_bytes) {
        return fail(Code::invalid, "a disk cannot shrink");
    }
    const auto reach = (1ULL << big_endian(start, 20, 4)) * ((1ULL << big_endian(start, 20, 4)) / 8);
    if ((bytes + reach - 1) / reach > big_endian(start, 36, 4)) {
        return false;
    }
    std::string size(8, '\0');
    put(size, 0, bytes, 8);
    if (::pwrite(fd.get(), size.data(), size.size(), 24) != 8 || ::fdatasync(fd.get()) != 0) {
        return fail(os_error("growing the disk"));
    }
    return true;
}

Result<std::uint64_t> qcow2_bytes(const std::filesystem::path& file) {
    const Fd fd{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd) {
        return fail(os_error("opening the disk"));
    }
    TRY(const auto start, header_of(fd.get()));
    return big_endian(start, 24, 8);
}

Result<std::filesystem::path> qcow2_backing(const std::filesystem::path& file) {
    const Fd fd{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd) {
        return fail(os_error("opening the disk"));
    }
    TRY(const auto start, header_of(fd.get()));
    std::string name(std::min<std::uint64_t>(big_endian(start, 16, 4), 1023), '\0');
    const auto at = static_cast<off_t>(big_endian(start, 8, 8));
    if (::pread(fd.get(), name.data(), name.size(), at) != static_cast<ssize_t>(name.size())) {
        return fail(os_error("reading the disk"));
    }
    return std::filesystem::path{name};
}

}  // namespace vmm::images
