#include "vmm/form/files.h"

#include <atomic>
#include <mutex>
#include <thread>

#include "io.h"

namespace vmm::form {
namespace {

// Chunks taken in turn by a few threads until none is left or one fails.
class Unpacking {
public:
    Unpacking(int file, const Index& index, const Take& take, const ProgressView& progress)
        : file_{file}, index_{index}, take_{take}, progress_{progress} {
        offsets_.reserve(index.chunks.size());
        auto at = index.header.index_bytes();
        for (const auto& chunk : index.chunks) {
            offsets_.push_back(at);
            at += chunk.stored;
        }
    }

    void work() {
        for (auto chunk = next_++; chunk < index_.chunks.size() && !stop_; chunk = next_++) {
            auto done = one(chunk);
            if (!done) {
                stop_ = true;
                const std::lock_guard lock{mutex_};
                // Of several damaged chunks the first is told.
                if (!error_ || chunk < failed_) {
                    error_ = std::move(done).error();
                    failed_ = chunk;
                }
            }
        }
    }

    [[nodiscard]] Result<void> result() const { return error_ ? fail(*error_) : Result<void>{}; }

private:
    Result<void> one(std::uint64_t chunk) {
        if (progress_ && progress_->unwanted) {
            return fail(Code::cancelled, "cancelled");
        }
        std::string stored(index_.chunks[chunk].stored, '\0');
        CHECK(read_at(file_, offsets_[chunk], stored.data(), stored.size()));
        TRY(const auto content, expand(index_, chunk, stored));
        if (take_ && !stored.empty()) {
            CHECK(take_(chunk, content));
        }
        if (progress_) {
            progress_->done += content.size();
        }
        return {};
    }

    int file_;
    const Index& index_;
    const Take& take_;
    const ProgressView& progress_;
    std::vector<std::uint64_t> offsets_;
    std::atomic<std::uint64_t> next_{0};
    std::atomic<bool> stop_{false};
    std::mutex mutex_;
    std::optional<Error> error_;
    std::uint64_t failed_ = 0;
};

}  // namespace

Result<void>
unpack(int file, const Index& index, unsigned threads, const Take& take, const ProgressView& progress) {
    if (progress) {
        progress->total = index.content_bytes();
        progress->done = 0;
    }
    Unpacking unpacking{file, index, take, progress};
    {
        std::vector<std::jthread> more;
        for (unsigned i = 1; i < threads; ++i) {
            more.emplace_back([&unpacking] { unpacking.work(); });
        }
        unpacking.work();
    }
    return unpacking.result();
}

}  // namespace vmm::form
