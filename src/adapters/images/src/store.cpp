#include "vmm/images/store.h"

#include "vmm/base/files.h"
#include "vmm/base/group.h"
#include "vmm/base/pool.h"
#include "vmm/base/text.h"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <spdlog/spdlog.h>

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>

#include "download.h"
#include "folder.h"
#include "importer.h"
#include "incoming.h"
#include "vault.h"

namespace vmm::images {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr auto settle_time = 200ms;  // after the last change, before the folder is looked at
constexpr std::string_view folder_prefix = "folder-";
constexpr std::uint32_t changes =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ONLYDIR;

class Store final : public ports::ImageStore {
public:
    Store(asio::any_io_executor executor, Settings settings, const ports::Signatures& signatures)
        : settings_{std::move(settings)},
          vault_{settings_},
          importer_{settings_, vault_, signatures},
          fetching_{settings_, vault_, importer_},
          folder_{settings_, vault_},
          watch_{executor},
          background_{executor} {}

    ~Store() override {
        leaving_->unwanted = true;
        boost::system::error_code ignored;
        watch_.close(ignored);
    }

    Result<void> begin() {
        CHECK(vault_.load());
        folder_.load();
        for (const auto& id : vault_.incoming()) {
            // Of conversions and removals that were going on; what was brought by somebody is the
            // application's to judge.
            if (id.starts_with(folder_prefix) || id.starts_with("removed-")) {
                CHECK(vault_.discard(id));
            }
        }
        const int notifier = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (notifier < 0 || ::inotify_add_watch(notifier, settings_.folder.c_str(), changes) < 0) {
            return fail(os_error("watching the image folder"));
        }
        watch_.assign(notifier);
        background_.spawn("images watch", watch());
        background_.spawn("images folder", work());
        return {};
    }

    std::vector<ports::Dropped> dropped() override { return folder_.all(); }

    std::optional<ports::Dropped> find_dropped(const std::string& name) override {
        return folder_.find(name);
    }

    Result<void> remove_dropped(const std::string& name) override { return folder_.remove(name); }

    Task<std::shared_ptr<ports::Incoming>> receive(std::string id) override {
        auto open = [this, id]() -> Result<std::shared_ptr<ports::Incoming>> {
            TRY(const auto place, vault_.place(id));
            return open_incoming(quick_, place / "source");
        };
        co_return co_await blocking(quick_, std::move(open));
    }

    Task<std::string>
    download(std::string id, ports::Remote from, std::uint64_t most_bytes, ProgressView progress) override {
        CO_TRY(auto place, vault_.place(id));
        auto task = fetching_.fetch(std::move(place), std::move(from), most_bytes, std::move(progress));
        co_return co_await asio::co_spawn(network_.executor(), std::move(task), asio::use_awaitable);
    }

    Task<std::string> copy_in(std::string id, fs::path file, std::uint64_t most_bytes, ProgressView progress)
        override {
        auto work = [this, id, file, most_bytes, progress]() -> Result<std::string> {
            TRY(const auto place, vault_.place(id));
            return copy_with_extents(place, file, most_bytes, progress);
        };
        co_return co_await blocking(slow_, std::move(work));
    }

    Result<fs::path> place_for_disk(std::string id) override {
        TRY(const auto place, vault_.place(id));
        return place / "disk.qcow2";
    }

    Task<void> flatten(
        std::string id,
        ports::Image base,
        domain::Image described,
        std::uint64_t most_bytes,
        ProgressView progress
    ) override {
        auto work = [this, id, base, described, most_bytes, progress] {
            return importer_.flatten(vault_.place_of(id), base, described, most_bytes, progress);
        };
        co_return co_await blocking(slow_, std::move(work));
    }

    Task<ports::Content>
    admit(std::string id, std::string sha256, std::uint64_t most_bytes, ProgressView progress) override {
        auto work = [this, id, sha256, most_bytes, progress] {
            return importer_.admit(vault_.place_of(id), sha256, most_bytes, progress);
        };
        co_return co_await blocking(slow_, std::move(work));
    }

    Task<void> discard(std::string id) override {
        auto work = [this, id] { return vault_.discard(id); };
        co_return co_await blocking(quick_, std::move(work));
    }

    [[nodiscard]] std::optional<ports::Content> content(const std::string& id) const override {
        return vault_.find(id);
    }

    [[nodiscard]] std::optional<ports::Content> content_by_sha256(const std::string& sha256) const override {
        return vault_.find_sha256(sha256);
    }

    [[nodiscard]] fs::path file_of(const ports::Content& content) const override {
        if (content.id.empty()) {
            return content.boots.disk;
        }
        return vault_.folder_of(content.id) / (content.facts.format == "form" ? "image.form" : "disk");
    }

    Task<void> remove_content(std::string id) override {
        auto work = [this, id] { return vault_.remove(id); };
        co_return co_await blocking(quick_, std::move(work));
    }

    std::vector<std::string> incoming() override {
        auto ids = vault_.incoming();
        std::erase_if(ids, [](const auto& id) {
            return id.starts_with(folder_prefix) || id.starts_with("removed-");
        });
        return ids;
    }

    std::vector<std::string> contents() override {
        std::vector<std::string> ids;
        for (const auto& content : vault_.all()) {
            ids.push_back(content.id);
        }
        // What the folder's own images were made into belongs to them.
        for (const auto& each : folder_.all()) {
            std::erase(ids, each.content.id);
        }
        return ids;
    }

    std::uint64_t available_mib() override {
        struct statvfs info{};
        return ::statvfs(settings_.folder.c_str(), &info) == 0
                   ? static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize >> 20
                   : 0;
    }

private:
    static Result<std::string> copy_with_extents(
        const fs::path& place,
        const fs::path& file,
        std::uint64_t most_bytes,
        const ProgressView& progress
    ) {
        CHECK(copy_file(file, place / "source", most_bytes, progress));
        std::vector<fs::path> files{place / "source"};
        const auto start = read_file(place / "source", 1 << 20);
        if (start && start->starts_with("# Disk DescriptorFile")) {
            TRY(const auto found, read_vmdk_descriptor(*start));
            std::error_code failed;
            fs::create_directory(place / "set", failed);
            for (const auto& extent : found.extents) {
                if (!extent.name.empty()) {
                    CHECK(copy_file(
                        file.parent_path() / extent.name, place / "set" / extent.name, most_bytes, progress
                    ));
                    files.push_back(place / "set" / extent.name);
                }
            }
        }
        return sha256_of(files, nullptr);
    }

    static Result<void> copy_file(
        const fs::path& from,
        const fs::path& to,
        std::uint64_t most_bytes,
        const ProgressView& progress
    ) {
        const Fd source{::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
        struct stat info{};
        if (!source || ::fstat(source.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
            return fail(Error{Code::invalid, quote(from.string()) + " is no regular file that can be read"}
                            .with_field("path"));
        }
        if (static_cast<std::uint64_t>(info.st_blocks) * 512 > most_bytes) {
            return fail(Error{Code::too_large, "the file is larger than the image may be"}
                            .with_slug("image-over-quota")
                            .with_field("path"));
        }
        std::error_code ignored;
        fs::remove(to, ignored);
        TRY(const auto target, HashedFile::open(to));
        if (progress) {
            progress->total = static_cast<std::uint64_t>(info.st_size);
            progress->done = 0;
        }
        std::string block(1 << 20, '\0');
        while (true) {
            const auto got = ::read(source.get(), block.data(), block.size());
            if (got < 0) {
                return fail(os_error("copying the image"));
            }
            if (got == 0) {
                break;
            }
            CHECK(target->append({block.data(), static_cast<std::size_t>(got)}));
            if (progress) {
                progress->done += static_cast<std::uint64_t>(got);
                if (progress->unwanted) {
                    return fail(Code::cancelled, "cancelled");
                }
            }
        }
        CHECK(target->finish());
        return {};
    }

    asio::awaitable<void> watch() {
        std::array<char, 8192> block{};
        while (watch_.is_open()) {
            const auto [failed, count] = co_await watch_.async_read_some(asio::buffer(block), as_value);
            if (failed) {
                co_return;
            }
            changed_ = true;
            background_.spawn("images folder", work());
        }
    }

    // Hashes what lies in the folder and converts what needs it, one after the other.
    asio::awaitable<void> work() {
        if (working_) {
            co_return;
        }
        working_ = true;
        do {
            changed_ = false;
            // Again for those that are known, which changes nothing; from here on what comes into them is
            // told.
            for (const auto& path : folder_.folders()) {
                (void)::inotify_add_watch(watch_.native_handle(), path.c_str(), changes);
            }
            co_await pause_for(settle_time);
            auto next = [this]() -> Result<Folder::Next> { return folder_.next_work(); };
            while (!leaving_->unwanted) {
                auto found = co_await blocking(slow_, next);
                if (!found || !found->work) {
                    changed_ = changed_ || (found && found->unsettled);
                    break;
                }
                auto piece = *found->work;
                auto doing = [this, piece] { return do_work(piece); };
                (void)co_await blocking(slow_, std::move(doing));
            }
        } while (changed_ && !leaving_->unwanted);
        working_ = false;
    }

    Result<void> do_work(const Folder::Work& piece) {
        // The content is what the extents hold as much as what the descriptor says.
        std::vector<fs::path> files{piece.file};
        for (const auto& extent : piece.found.extents) {
            if (!extent.name.empty()) {
                files.push_back(piece.file.parent_path() / extent.name);
            }
        }
        auto sha256 = sha256_of(files, leaving_);
        std::optional<Error> failed;
        if (!sha256) {
            failed = std::move(sha256).error();
        } else if (piece.found.format != "raw" && piece.found.format != "qcow2" &&
                   !vault_.find_sha256(*sha256)) {
            auto content = convert(piece, *sha256);
            if (!content) {
                failed = std::move(content).error();
            } else {
                sha256 = content->sha256;
            }
        }
        if (leaving_->unwanted) {
            return {};
        }
        if (failed) {
            spdlog::warn(
                "an image in the folder cannot be used name={} reason=\"{}\"",
                quote(piece.name),
                failed->message()
            );
        } else {
            spdlog::info("an image in the folder is ready name={} format={}", piece.name, piece.found.format);
        }
        folder_.done(piece, sha256.value_or(""), failed);
        return {};
    }

    Result<ports::Content> convert(const Folder::Work& piece, const std::string& sha256) {
        const auto id = std::string{folder_prefix} + sha256;
        TRY(const auto place, vault_.place(id));
        auto content = converted(piece, sha256, place);
        (void)vault_.discard(id);
        return content;
    }

    Result<ports::Content>
    converted(const Folder::Work& piece, const std::string& sha256, const fs::path& place) {
        const auto most = static_cast<std::uint64_t>(available_mib()) << 20;
        if (piece.found.format != "form" && piece.found.format != "ova") {
            return importer_.convert_in_place(place, piece.file, sha256, piece.found, most, leaving_);
        }
        // These are read from a copy, which shares the blocks where the file system can.
        CHECK(copy_file(piece.file, place / "source", most, leaving_));
        return importer_.admit(place, sha256, most, leaving_);
    }

    Settings settings_;
    Vault vault_;
    Importer importer_;
    Fetching fetching_;
    Folder folder_;
    asio::posix::stream_descriptor watch_;
    ProgressView leaving_ = std::make_shared<Progress>();
    bool changed_ = false;
    bool working_ = false;
    Group background_;
    // Last, so that they end first: their work uses all of the above.
    Pool slow_{3};
    Pool network_{1};  // one thread, so that a download's socket and its deadline never meet
    Pool quick_{2};
};

}  // namespace

Result<std::unique_ptr<ports::ImageStore>>
create_image_store(asio::any_io_executor executor, Settings settings, const ports::Signatures& signatures) {
    auto store = std::make_unique<Store>(std::move(executor), std::move(settings), signatures);
    CHECK(store->begin());
    return store;
}

}  // namespace vmm::images
