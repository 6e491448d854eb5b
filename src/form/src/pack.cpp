#include "vmm/crypto/sha256.h"
#include "vmm/form/files.h"
#include "vmm/json/encode.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "io.h"

namespace vmm::form {
namespace {

// Chunks are compressed by several threads and written in their order.
class Pack {
public:
    Pack(const Packing& what, Index& index, std::vector<Fd> inputs, int output, const ProgressView& progress)
        : what_{what},
          index_{index},
          inputs_{std::move(inputs)},
          output_{output},
          progress_{progress},
          at_{index.header.index_bytes()} {}

    void work() {
        for (auto chunk = next_++; chunk < index_.chunks.size() && !stop_; chunk = next_++) {
            if (auto done = one(chunk); !done) {
                const std::lock_guard lock{mutex_};
                stop_ = true;
                if (!error_) {
                    error_ = std::move(done).error();
                }
                turn_.notify_all();
            }
        }
    }

    [[nodiscard]] Result<void> result() const { return error_ ? fail(*error_) : Result<void>{}; }

private:
    Result<void> one(std::uint64_t chunk) {
        if (progress_ && progress_->unwanted) {
            return fail(Code::cancelled, "cancelled");
        }
        const auto place = index_.place(chunk);
        std::string stored;
        const auto data = ::lseek(inputs_[place.file].get(), static_cast<off_t>(place.offset), SEEK_DATA);
        const bool within_hole =
            (data < 0 && errno == ENXIO) || data >= static_cast<off_t>(place.offset + place.bytes);
        if (within_hole) {
            index_.chunks[chunk] = hole(place.bytes);
        } else {
            std::string content(place.bytes, '\0');
            CHECK(read_at(inputs_[place.file].get(), place.offset, content.data(), content.size()));
            stored = shrink(content, what_.level);
            index_.chunks[chunk] =
                stored.empty() ? hole(place.bytes)
                               : Chunk{static_cast<std::uint32_t>(stored.size()), crypto::sha256(content)};
        }
        std::uint64_t at = 0;
        {
            // The place in the file is known once all chunks before have theirs.
            std::unique_lock lock{mutex_};
            turn_.wait(lock, [this, chunk] { return stop_ || placed_ == chunk; });
            if (stop_) {
                return {};
            }
            at = at_;
            at_ += stored.size();
            ++placed_;
        }
        turn_.notify_all();
        CHECK(write_at(output_, at, stored));
        if (progress_) {
            progress_->done += place.bytes;
        }
        return {};
    }

    const Packing& what_;
    Index& index_;
    std::vector<Fd> inputs_;
    int output_;
    const ProgressView& progress_;
    std::atomic<std::uint64_t> next_{0};
    std::atomic<bool> stop_{false};
    std::mutex mutex_;
    std::condition_variable turn_;
    std::uint64_t placed_ = 0;
    std::uint64_t at_;
    std::optional<Error> error_;
};

Result<std::vector<Fd>> open_inputs(Packing& what) {
    std::vector<Fd> inputs;
    what.manifest.files.clear();
    for (const auto* role : {"disk", "kernel", "initrd"}) {
        const auto input = what.inputs.find(role);
        if (input == what.inputs.end()) {
            continue;
        }
        inputs.emplace_back(::open(input->second.c_str(), O_RDONLY | O_CLOEXEC));
        struct stat info{};
        if (!inputs.back() || ::fstat(inputs.back().get(), &info) != 0) {
            return fail(os_error("opening " + input->second.string()));
        }
        what.manifest.files.push_back({role, static_cast<std::uint64_t>(info.st_size)});
    }
    return inputs;
}

Result<void> write_all(
    const Packing& what,
    Index& index,
    std::vector<Fd> inputs,
    int output,
    const ProgressView& progress
) {
    Pack packing{what, index, std::move(inputs), output, progress};
    {
        std::vector<std::jthread> more;
        for (unsigned i = 1; i < what.threads; ++i) {
            more.emplace_back([&packing] { packing.work(); });
        }
        packing.work();
    }
    CHECK(packing.result());
    if (what.sign) {
        index.header.is_signed = true;
        index.header.signature = what.sign(index.signing_text());
    }
    CHECK(write_at(output, 0, write_index(index)));
    if (::fdatasync(output) != 0) {
        return fail(os_error("writing the image"));
    }
    return {};
}

}  // namespace

Result<Index> pack(Packing what, const ProgressView& progress) {
    TRY(auto inputs, open_inputs(what));
    CHECK(check_manifest(what.manifest));
    Index index;
    index.manifest = what.manifest;
    index.manifest_text = json::encode(what.manifest);
    index.header.manifest_bytes = static_cast<std::uint32_t>(index.manifest_text.size());
    index.header.chunks = chunk_count(what.manifest);
    index.chunks.resize(index.header.chunks);
    if (progress) {
        progress->total = index.content_bytes();
    }
    auto unfinished = what.output;
    unfinished += ".unfinished";
    ::unlink(unfinished.c_str());
    const Fd output{::open(unfinished.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644)};
    if (!output) {
        return fail(os_error("making " + what.output.string()));
    }
    auto done = write_all(what, index, std::move(inputs), output.get(), progress);
    if (done && ::rename(unfinished.c_str(), what.output.c_str()) != 0) {
        done = fail(os_error("naming " + what.output.string()));
    }
    if (!done) {
        ::unlink(unfinished.c_str());
        return std::unexpected{std::move(done).error()};
    }
    return index;
}

}  // namespace vmm::form
