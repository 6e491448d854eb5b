#pragma once

#include "vmm/base/error.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bytes.h"

// What an image is, by its content alone, and whether it may be used. Everything here reads untrusted bytes;
// the headers are those of docs/interop/qcow2.txt of QEMU, VMware's "Virtual Disk Format 5.0", the VDI header
// of VirtualBox, Microsoft's VHD and VHDX specifications, and POSIX ustar.
namespace vmm::images {

// A file of a set: an extent beside a vmdk descriptor, or a member of a tar archive.
struct Member {
    std::string name;
    std::uint64_t offset = 0;  // in the archive
    std::uint64_t bytes = 0;
};

struct Found {
    std::string format;               // raw qcow2 vmdk vdi vhdx vpc ova form
    std::uint64_t virtual_bytes = 0;  // 0: only known once it is converted
    std::vector<Member> extents;      // of a vmdk descriptor, without offsets
    std::vector<Member> members;      // of an archive
};

// Refuses, each with a slug of its own: image-backing-file, image-external-data, image-dirty, image-corrupt,
// image-unknown-feature, image-encrypted, image-absurd-tables, image-snapshots, image-truncated,
// image-too-large, image-extent-escapes, image-compressed, image-empty, image-unsupported.
Result<Found> probe(const Bytes& image, std::uint64_t most_virtual_bytes);

// Follows a qcow2's or a sparse vmdk's tables: everything they point at must lie within the file, and no
// qcow2 L2 table may be used twice. Does nothing for other formats. Reads no more than the file's size.
Result<void> check_tables(const Bytes& image);

// The text of a vmdk descriptor.
Result<Found> read_vmdk_descriptor(std::string_view text);

// The members of a tar archive. image-truncated, image-unsupported.
Result<std::vector<Member>> read_tar(const Bytes& archive);

// Whether it is the name of a file in the same folder and nothing else.
bool plain_file_name(std::string_view name);

}  // namespace vmm::images
