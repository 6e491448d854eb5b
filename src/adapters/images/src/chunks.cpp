#include "chunks.h"

#include "vmm/form/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <set>

namespace vmm::images {

LocalChunks::LocalChunks(const Vault& vault, const form::Index& wanted) {
    std::set<ports::Digest> needed;
    for (const auto& chunk : wanted.chunks) {
        if (chunk.stored > 0) {
            needed.insert(chunk.sha256);
        }
    }
    for (const auto& content : vault.all()) {
        if (content.facts.format != "form") {
            continue;
        }
        auto file = std::make_shared<Fd>(
            ::open((vault.folder_of(content.id) / "image.form").c_str(), O_RDONLY | O_CLOEXEC)
        );
        const auto index = *file ? form::read_index_of(file->get()) : fail(Code::not_found, "no file");
        if (!index) {
            continue;
        }
        auto at = index->header.index_bytes();
        for (const auto& chunk : index->chunks) {
            if (chunk.stored > 0 && needed.contains(chunk.sha256)) {
                places_.try_emplace(chunk.sha256, Place{file, at, chunk.stored});
            }
            at += chunk.stored;
        }
    }
}

std::optional<std::uint32_t> LocalChunks::stored(const ports::Digest& chunk) const {
    const auto place = places_.find(chunk);
    return place == places_.end() ? std::nullopt : std::optional{place->second.stored};
}

Result<std::string> LocalChunks::read(const ports::Digest& chunk) const {
    const auto& place = places_.at(chunk);
    std::string bytes(place.stored, '\0');
    if (::pread(place.file->get(), bytes.data(), bytes.size(), static_cast<off_t>(place.at)) !=
        static_cast<ssize_t>(bytes.size())) {
        return fail(Code::unavailable, "a chunk that is stored here cannot be read");
    }
    return bytes;
}

}  // namespace vmm::images
