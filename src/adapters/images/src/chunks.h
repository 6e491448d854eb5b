#pragma once

#include "vmm/base/files.h"
#include "vmm/form/format.h"

#include <map>
#include <memory>
#include <string>

#include "vault.h"

namespace vmm::images {

// Chunks that are here already, in the .form images of the vault, by their hash.
class LocalChunks {
public:
    // Only those that the index names.
    LocalChunks(const Vault& vault, const form::Index& wanted);

    // Bytes that the chunk takes as it is stored here; nothing when it is not here.
    [[nodiscard]] std::optional<std::uint32_t> stored(const ports::Digest& chunk) const;

    Result<std::string> read(const ports::Digest& chunk) const;

private:
    struct Place {
        std::shared_ptr<Fd> file;
        std::uint64_t at = 0;
        std::uint32_t stored = 0;
    };

    std::map<ports::Digest, Place> places_;
};

}  // namespace vmm::images
