#pragma once

#include "vmm/ports/images.h"

#include <filesystem>
#include <memory>
#include <string>

namespace vmm::images {

// Images in a folder, see docs/images.md: NAME/image.json for a kernel with its initial file system, NAME,
// NAME.qcow2, NAME.img or NAME.raw for a disk, told apart by content. Root disks go to
// `<folder>/.machines/<owner>/ID.qcow2`, where `owner` is the identity of the state store, so that services
// that share a folder never touch each other's disks.
std::unique_ptr<ports::ImageStore> create_image_store(std::filesystem::path folder, const std::string& owner);

}  // namespace vmm::images
