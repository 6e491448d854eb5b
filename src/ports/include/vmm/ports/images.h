#pragma once

#include "vmm/base/progress.h"
#include "vmm/base/task.h"
#include "vmm/base/time.h"
#include "vmm/domain/image.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vmm::ports {

// What a machine boots: a kernel with its initial file system, or a disk. Read-only.
struct Image {
    Image() = default;
    std::string name;
    std::filesystem::path kernel;  // empty for a disk image
    std::filesystem::path initrd;
    std::string command_line;
    std::filesystem::path disk;    // empty for a kernel image
    std::string disk_format;       // "raw" or "qcow2"
    std::uint64_t disk_bytes = 0;  // as the guest sees it
    std::string firmware;          // "uefi", or empty for the machine's own
    std::optional<std::uint32_t> vcpus;
    std::optional<std::uint32_t> memory_mib;
    std::optional<std::uint32_t> minimum_disk_gib;
};

// An image that is stored here, or lies in the image folder.
struct Content {
    Content() = default;
    std::string id;      // of stored content: the SHA-256 of what was brought, or the Merkle root of a .form
    std::string sha256;  // of what was brought; empty when it was never read whole
    domain::ImageFacts facts;
    Image boots;
};

// What somebody has put into the image folder by hand.
struct Dropped {
    Dropped() = default;
    std::string name;
    domain::ImageStatus status = domain::ImageStatus::importing;  // importing, ready or refused
    std::string reason;
    std::string sha256;  // empty while it is not known
    Content content;     // of a ready one; of others as far as it is known
    Timestamp changed_at;
};

// The bytes of an image on their way in. One caller at a time; each call works on the store's own threads and
// comes back on the caller's executor. Whatever was appended stays when this object goes, until discard().
class Incoming {
public:
    Incoming() = default;
    Incoming(const Incoming&) = delete;
    Incoming& operator=(const Incoming&) = delete;
    virtual ~Incoming() = default;

    // Bytes held.
    [[nodiscard]] virtual std::uint64_t bytes() const = 0;

    // unavailable "no-space".
    virtual Task<void> append(std::string_view data) = 0;

    // From here on a part comes that has a SHA-256 of its own.
    virtual void begin_part() = 0;
    // That of what was appended since begin_part(), in hex.
    virtual Task<std::string> finish_part() = 0;

    // SHA-256 of all of it in hex, durable on return.
    virtual Task<std::string> finish() = 0;
};

// Where an image is fetched from, and what it must turn out to be.
struct Remote {
    Remote() = default;
    std::string url;
    std::string sha256;  // of the whole file, or empty
    std::string root;    // of a .form, or empty
};

// Images: those that were brought here, each content once, and those that lie in the image folder. Used on
// the application's executor, but for Incoming. What reads untrusted bytes refuses with `invalid`, field
// "image", and a slug for each reason.
class ImageStore {
public:
    virtual ~ImageStore() = default;

    // What lies in the folder now.
    virtual std::vector<Dropped> dropped() = 0;
    virtual std::optional<Dropped> find_dropped(const std::string& name) = 0;
    virtual Result<void> remove_dropped(const std::string& name) = 0;

    // Takes bytes for the image with this id, from where an earlier attempt left off.
    virtual Task<std::shared_ptr<Incoming>> receive(std::string id) = 0;

    // Fetches, from where an earlier attempt left off; chunks of a .form that are here already are not
    // fetched again. Gives the SHA-256 of what came, or nothing when it did not come whole. unavailable,
    // too_large, invalid "url", cancelled.
    virtual Task<std::string>
    download(std::string id, Remote from, std::uint64_t most_bytes, ProgressView progress) = 0;

    // Copies a file of this host, with a vmdk's extents. Gives its SHA-256.
    virtual Task<std::string>
    copy_in(std::string id, std::filesystem::path file, std::uint64_t most_bytes, ProgressView progress) = 0;

    // Where a machine's disk is to be put for publish().
    virtual Result<std::filesystem::path> place_for_disk(std::string id) = 0;

    // Makes one disk of what lies at place_for_disk() and the image below it.
    virtual Task<void> flatten(
        std::string id,
        Image base,
        domain::Image described,
        std::uint64_t most_bytes,
        ProgressView progress
    ) = 0;

    // Checks what came in, converts it where needed, and stores it. `sha256` spares a reading when it is
    // known. What is stored already is not stored again. Durable on return.
    virtual Task<Content>
    admit(std::string id, std::string sha256, std::uint64_t most_bytes, ProgressView progress) = 0;

    // Forgets what came in under this id. Idempotent.
    virtual Task<void> discard(std::string id) = 0;

    [[nodiscard]] virtual std::optional<Content> content(const std::string& id) const = 0;
    [[nodiscard]] virtual std::optional<Content> content_by_sha256(const std::string& sha256) const = 0;
    // A file with the whole image, for download: the .form as it was made, or the disk.
    [[nodiscard]] virtual std::filesystem::path file_of(const Content& content) const = 0;
    virtual Task<void> remove_content(std::string id) = 0;

    // Ids under which something came in, and of what is stored.
    virtual std::vector<std::string> incoming() = 0;
    virtual std::vector<std::string> contents() = 0;

    // Free room where images go.
    virtual std::uint64_t available_mib() = 0;
};

}  // namespace vmm::ports
