#pragma once

#include "vmm/base/time.h"
#include "vmm/domain/access.h"
#include "vmm/domain/address.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vmm::domain {

enum class ImageStatus : std::uint8_t {
    uploading,  // its bytes are coming in, or may be sent on
    importing,  // an operation checks or converts it
    ready,
    refused,  // found in the image folder, and not fit to be used
};

// How an image's publisher stands with this host's configuration. Only .form images have one.
enum class Trust : std::uint8_t { none, trusted, unknown_publisher, not_signed };

// What was found in an image's content.
struct ImageFacts {
    std::string format;               // as it was brought: raw qcow2 vmdk vdi vhdx vpc ova form kernel
    std::string kind;                 // disk or kernel
    std::string architecture;         // x86_64
    std::uint64_t virtual_bytes = 0;  // of the disk, as a guest sees it
    std::uint64_t stored_bytes = 0;   // what it takes on this host
    Trust trust = Trust::none;
    std::string publisher;  // an address; of a signed .form
    std::string root;       // Merkle root in hex; of a .form
    std::string version;
    std::string description;
    std::optional<std::uint32_t> vcpus;
    std::optional<std::uint32_t> memory_mib;
    std::optional<std::uint32_t> minimum_disk_gib;
};

// An image that somebody brought, as it is stored.
struct Image {
    std::string id;  // names its files while it comes in
    std::string name;
    Address owner;
    bool is_public = false;
    ImageStatus status = ImageStatus::importing;
    std::string reason;
    std::string sha256;             // of the content as it was brought; empty while not known
    std::string content;            // what it is stored as, once it is ready
    std::string source;             // upload, url, path, machine
    std::string source_place;       // the url, the path, or the machine's id
    std::string wanted_root;        // of a url: the Merkle root that it must have
    std::uint64_t total_bytes = 0;  // of an upload
    bool as_form = false;           // of a machine: keep a .form beside the disk
    std::string wanted_version;     // of the .form that is made
    ImageFacts facts;
    Timestamp created_at;
    Timestamp updated_at;
    std::int64_t revision = 0;
    std::string operation;  // the one that imports it
};

std::string_view name(ImageStatus status);
std::string_view name(Trust trust);
std::optional<ImageStatus> image_status_named(std::string_view name);
std::optional<Trust> trust_named(std::string_view name);

// Public images are everybody's to use; others are their owner's and the administrators'.
bool may_see(const Caller& caller, const Image& image);
bool may_remove(const Caller& caller, const Image& image);

}  // namespace vmm::domain
