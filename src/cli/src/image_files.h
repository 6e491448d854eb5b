#pragma once

#include "vmm/json/value.h"

#include <string>

#include "client.h"

namespace vmm::cli {

struct PushOptions {
    std::string file;
    std::string name;
    bool is_public = false;
};

// Sends a file as an image, from where an earlier attempt left off; a vmdk descriptor with its extents in one
// archive.
Result<json::Value> push(const Settings& settings, PushOptions options);

// Fetches an image into a file, from where an earlier attempt left off, and checks its SHA-256 where the
// service tells it.
Result<void> pull(const Settings& settings, const std::string& name, const std::string& file);

// Waits for an image's operation with a bar; the image.
Result<json::Value> await_image(Client& client, const std::string& operation, const std::string& name);

}  // namespace vmm::cli
