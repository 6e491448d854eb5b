#pragma once

#include "vmm/base/files.h"
#include "vmm/base/progress.h"
#include "vmm/form/format.h"

#include <filesystem>
#include <functional>
#include <map>

// Packing and unpacking of .form images on files. Blocking; uses `threads` threads of its own.
namespace vmm::form {

// Signs the text; absent for an unsigned image.
using Sign = std::function<std::array<std::uint8_t, 65>(std::string_view text)>;

struct Packing {
    Manifest manifest;                                    // files are filled in
    std::map<std::string, std::filesystem::path> inputs;  // by role
    std::filesystem::path output;                         // replaced when it exists
    Sign sign;
    unsigned threads = 2;
    int level = 3;  // of zstd
};

// Writes the image; the same input gives the same bytes. Leaves nothing behind when it fails.
Result<Index> pack(Packing what, const ProgressView& progress);

// Reads the index of an image file.
Result<Index> read_index_of(int file);

// Where chunks go. Called from several threads, each with its own chunk.
using Take = std::function<Result<void>(std::uint64_t chunk, std::string_view content)>;

// Verifies every chunk of an image file, and hands each that is not all zeros to `take`, when given. The
// first damaged chunk ends it. malformed, cancelled.
Result<void>
unpack(int file, const Index& index, unsigned threads, const Take& take, const ProgressView& progress);

// Writes chunks into one file per role. Holes stay holes.
class Extraction {
public:
    // Makes the files, of full length; they must not exist.
    static Result<Extraction>
    begin(const Index& index, const std::map<std::string, std::filesystem::path>& outputs);

    Result<void> write(const Place& place, std::string_view content) const;
    Result<void> sync() const;

private:
    std::vector<Fd> files_;
};

}  // namespace vmm::form
