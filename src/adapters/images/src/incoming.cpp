#include "incoming.h"

#include "vmm/base/files.h"
#include "vmm/base/text.h"
#include "vmm/crypto/sha256.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

namespace vmm::images {
namespace {

constexpr std::size_t block = 64 << 10;
constexpr std::size_t reading = 1 << 20;

bool zeros(std::string_view data) {
    return data[0] == 0 && std::memcmp(data.data(), data.data() + 1, data.size() - 1) == 0;
}

std::string hex(const ports::Digest& digest) {
    return to_hex(digest);
}

Result<void> write_at(int file, std::string_view data, std::uint64_t at) {
    while (!data.empty()) {
        const auto put = ::pwrite(file, data.data(), data.size(), static_cast<off_t>(at));
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return fail(os_error("storing the image"));
        }
        at += static_cast<std::uint64_t>(put);
        data.remove_prefix(static_cast<std::size_t>(put));
    }
    return {};
}

Result<void> add_file(crypto::Sha256& hash, const std::filesystem::path& path, const ProgressView& progress) {
    const Fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    struct stat info{};
    if (!file || ::fstat(file.get(), &info) != 0) {
        return fail(os_error("reading the image"));
    }
    if (progress) {
        progress->total = static_cast<std::uint64_t>(info.st_size);
        progress->done = 0;
    }
    std::string part(reading, '\0');
    while (true) {
        const auto got = ::read(file.get(), part.data(), part.size());
        if (got < 0) {
            return fail(os_error("reading the image"));
        }
        if (got == 0) {
            return {};
        }
        hash.add({part.data(), static_cast<std::size_t>(got)});
        if (progress) {
            progress->done += static_cast<std::uint64_t>(got);
            if (progress->unwanted) {
                return fail(Code::cancelled, "cancelled");
            }
        }
        if (::fstat(file.get(), &info) == 0 && info.st_nlink == 0) {
            // Whoever deleted it wants its room.
            return fail(Code::cancelled, "the file was deleted");
        }
    }
}

class IncomingFile final : public ports::Incoming {
public:
    IncomingFile(Pool& pool, std::unique_ptr<HashedFile> file)
        : pool_{pool}, file_{std::move(file)}, bytes_{file_->bytes()} {}

    [[nodiscard]] std::uint64_t bytes() const override { return bytes_; }

    Task<void> append(std::string_view data) override {
        auto work = [this, data]() -> Result<void> {
            CHECK(file_->append(data));
            if (part_) {
                part_->add(data);
            }
            bytes_ = file_->bytes();
            return {};
        };
        co_return co_await blocking(pool_, std::move(work));
    }

    void begin_part() override { part_.emplace(); }

    Task<std::string> finish_part() override {
        auto digest = hex(part_->digest());
        part_.reset();
        co_return digest;
    }

    Task<std::string> finish() override {
        auto work = [this] { return file_->finish(); };
        co_return co_await blocking(pool_, std::move(work));
    }

private:
    Pool& pool_;
    std::unique_ptr<HashedFile> file_;
    std::optional<crypto::Sha256> part_;
    std::atomic<std::uint64_t> bytes_;
};

}  // namespace

struct HashedFile::State {
    Fd file;
    crypto::Sha256 hash;
    std::uint64_t bytes = 0;
};

HashedFile::HashedFile() : state_{std::make_unique<State>()} {}

HashedFile::~HashedFile() = default;

Result<std::unique_ptr<HashedFile>> HashedFile::open(const std::filesystem::path& file) {
    auto out = std::make_unique<HashedFile>();
    auto& state = *out->state_;
    state.file = Fd{::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    if (!state.file) {
        return fail(os_error("storing the image"));
    }
    std::string part(reading, '\0');
    while (true) {
        const auto got = ::pread(state.file.get(), part.data(), part.size(), static_cast<off_t>(state.bytes));
        if (got < 0) {
            return fail(os_error("reading what has come of the image"));
        }
        if (got == 0) {
            return out;
        }
        state.hash.add({part.data(), static_cast<std::size_t>(got)});
        state.bytes += static_cast<std::uint64_t>(got);
    }
}

std::uint64_t HashedFile::bytes() const {
    return state_->bytes;
}

Result<void> HashedFile::append(std::string_view data) {
    state_->hash.add(data);
    while (!data.empty()) {
        // Cut where the file's blocks begin, so that zeros in the middle are seen.
        const auto part = data.substr(0, block - state_->bytes % block);
        if (part.size() == block && zeros(part)) {
            if (::ftruncate(state_->file.get(), static_cast<off_t>(state_->bytes + part.size())) != 0) {
                return fail(os_error("storing the image"));
            }
        } else {
            CHECK(write_at(state_->file.get(), part, state_->bytes));
        }
        state_->bytes += part.size();
        data.remove_prefix(part.size());
    }
    return {};
}

Result<void> HashedFile::restart() {
    if (::ftruncate(state_->file.get(), 0) != 0) {
        return fail(os_error("storing the image"));
    }
    state_->hash = crypto::Sha256{};
    state_->bytes = 0;
    return {};
}

Result<std::string> HashedFile::finish() {
    if (::fdatasync(state_->file.get()) != 0) {
        return fail(os_error("storing the image"));
    }
    return hex(state_->hash.digest());
}

Result<std::shared_ptr<ports::Incoming>> open_incoming(Pool& pool, const std::filesystem::path& file) {
    TRY(auto hashed, HashedFile::open(file));
    return std::make_shared<IncomingFile>(pool, std::move(hashed));
}

Result<std::string> sha256_of(const std::vector<std::filesystem::path>& files, const ProgressView& progress) {
    crypto::Sha256 hash;
    for (const auto& file : files) {
        CHECK(add_file(hash, file, progress));
    }
    return hex(hash.digest());
}

}  // namespace vmm::images
