#pragma once

#include "vmm/base/pool.h"
#include "vmm/ports/images.h"

#include <filesystem>
#include <memory>
#include <vector>

namespace vmm::images {

// Opens `file` to go on where it ends, and makes it when it is not there.
Result<std::shared_ptr<ports::Incoming>> open_incoming(Pool& pool, const std::filesystem::path& file);

// A file that is written from start to end, its zeros left out as holes, and hashed on the way. Blocking.
class HashedFile {
public:
    // Goes on at the end of what is there, which is read for its hash.
    static Result<std::unique_ptr<HashedFile>> open(const std::filesystem::path& file);

    [[nodiscard]] std::uint64_t bytes() const;
    Result<void> append(std::string_view data);
    // Begins anew.
    Result<void> restart();
    // SHA-256 in hex; durable.
    Result<std::string> finish();

    HashedFile();
    HashedFile(const HashedFile&) = delete;
    HashedFile& operator=(const HashedFile&) = delete;
    ~HashedFile();

private:
    struct State;
    std::unique_ptr<State> state_;
};

// SHA-256 of files one after the other, in hex: a vmdk in parts is its descriptor and all its extents.
// Blocking; cancelled.
Result<std::string> sha256_of(const std::vector<std::filesystem::path>& files, const ProgressView& progress);

}  // namespace vmm::images
