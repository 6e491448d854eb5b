#include "download.h"

#include "vmm/base/fault.h"
#include "vmm/base/files.h"
#include "vmm/base/text.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chunks.h"
#include "incoming.h"

namespace vmm::images {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr int most_attempts = 5;
constexpr std::size_t piece = 512 << 10;
constexpr std::uint64_t first_look = 128 << 10;  // the index of most images, and little of others
constexpr std::uint64_t small_gap = 256 << 10;   // read over rather than asked anew

std::unexpected<Error> too_large(std::uint64_t most_bytes) {
    return fail(Error{
        Code::too_large,
        "the image is larger than the " + std::to_string(most_bytes >> 20) + " MiB that it may have"
    }
                    .with_slug("image-over-quota")
                    .with_field("url"));
}

std::unexpected<Error> not_there(int status) {
    return fail(Error{Code::invalid, "the url answers with status " + std::to_string(status)}
                    .with_slug("url-failed")
                    .with_field("url"));
}

std::string header(const fetch::Download& answer, const std::string& name) {
    const auto found = answer.headers().find(name);
    return found == answer.headers().end() ? std::string{} : found->second;
}

// Reads until so many bytes are there, or the end.
Task<std::string> read_up_to(fetch::Download& answer, std::string have, std::size_t bytes) {
    auto at = have.size();
    have.resize(std::max(bytes, at));
    while (at < bytes) {
        CO_TRY(const auto got, co_await answer.read(have.data() + at, bytes - at));
        if (got == 0) {
            break;
        }
        at += got;
    }
    have.resize(at);
    co_return have;
}

// "bytes 100-199/1000": the first number.
std::optional<std::uint64_t> range_start(const std::string& text) {
    const auto dash = text.find('-');
    return text.starts_with("bytes ") && dash != std::string::npos
               ? parse_number<std::uint64_t>(std::string_view{text}.substr(6, dash - 6))
               : std::nullopt;
}

// What a retry may mend.
bool passing(const Error& error) {
    return error.slug() == "download-failed" || error.code() == Code::timed_out;
}

// The remote file read in any order, by one connection as far as that goes.
class RemoteFile {
public:
    RemoteFile(fetch::Url url, fetch::Rules rules, std::unique_ptr<fetch::Download> answer, std::uint64_t at)
        : url_{std::move(url)}, rules_{std::move(rules)}, answer_{std::move(answer)}, at_{at} {
        look_where_it_ends();
    }

    // `run` is how many bytes from `from` on will be wanted one after the other.
    Task<std::string> read(std::uint64_t from, std::size_t bytes, std::uint64_t run) {
        if (!answer_ || from < at_ || from - at_ > small_gap || from + bytes > until_) {
            std::vector<std::pair<std::string, std::string>> headers;
            headers.emplace_back(
                "Range", "bytes=" + std::to_string(from) + "-" + std::to_string(from + run - 1)
            );
            CO_TRY(answer_, co_await fetch::Download::open(url_, std::move(headers), rules_));
            if (answer_->status() != 200 && answer_->status() != 206) {
                co_return not_there(answer_->status());
            }
            // A server without ranges sends the whole; what comes before is read over.
            at_ =
                answer_->status() == 206 ? range_start(header(*answer_, "content-range")).value_or(from) : 0;
            look_where_it_ends();
        }
        while (at_ < from) {
            CO_TRY(
                const auto over,
                co_await read_up_to(
                    *answer_, "", static_cast<std::size_t>(std::min<std::uint64_t>(piece, from - at_))
                )
            );
            if (over.empty()) {
                co_return fail(
                    Error{Code::unavailable, "the download ended early"}.with_slug("download-failed")
                );
            }
            at_ += over.size();
        }
        CO_TRY(auto got, co_await read_up_to(*answer_, "", bytes));
        at_ += got.size();
        if (got.size() < bytes) {
            answer_.reset();
            co_return fail(Error{Code::unavailable, "the download ended early"}.with_slug("download-failed"));
        }
        co_return got;
    }

private:
    void look_where_it_ends() {
        const auto range = answer_ && answer_->status() == 206 ? header(*answer_, "content-range") : "";
        const auto dash = range.find('-');
        const auto last =
            dash == std::string::npos
                ? std::nullopt
                : parse_number<std::uint64_t>(range.substr(dash + 1, range.find('/') - dash - 1));
        until_ = last ? *last + 1 : ~0ULL;
    }

    fetch::Url url_;
    fetch::Rules rules_;
    std::unique_ptr<fetch::Download> answer_;
    std::uint64_t at_;             // of the answer's next byte, in the file
    std::uint64_t until_ = ~0ULL;  // where the answer ends
};

// The .form image as it is put together here: its index with the sizes that chunks have here, then chunk
// after chunk.
class Assembly {
public:
    static Result<Assembly> begin(const fs::path& file, const form::Index& index) {
        Assembly out;
        out.file_ = Fd{::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
        struct stat info{};
        if (!out.file_ || ::fstat(out.file_.get(), &info) != 0) {
            return fail(os_error("storing the image"));
        }
        const auto head = form::write_index(index);
        std::string there(head.size(), '\0');
        const bool same =
            ::pread(out.file_.get(), there.data(), there.size(), 0) == static_cast<ssize_t>(there.size()) &&
            there == head;
        out.at_ = head.size();
        // What an earlier attempt has brought stays, as far as it is whole.
        for (out.next_ = 0; same && out.next_ < index.chunks.size(); ++out.next_) {
            const auto stored = index.chunks[out.next_].stored;
            if (out.at_ + stored > static_cast<std::uint64_t>(info.st_size)) {
                break;
            }
            out.at_ += stored;
        }
        if (::ftruncate(out.file_.get(), static_cast<off_t>(same ? out.at_ : 0)) != 0 ||
            (!same &&
             ::pwrite(out.file_.get(), head.data(), head.size(), 0) != static_cast<ssize_t>(head.size()))) {
            return fail(os_error("storing the image"));
        }
        return out;
    }

    [[nodiscard]] std::uint64_t next() const { return next_; }

    Result<void> append(std::string_view stored) {
        if (::pwrite(file_.get(), stored.data(), stored.size(), static_cast<off_t>(at_)) !=
            static_cast<ssize_t>(stored.size())) {
            return fail(os_error("storing the image"));
        }
        at_ += stored.size();
        ++next_;
        return {};
    }

    Result<void> finish() const {
        return ::fdatasync(file_.get()) == 0 ? Result<void>{} : fail(os_error("storing the image"));
    }

private:
    Fd file_;
    std::uint64_t at_ = 0;
    std::uint64_t next_ = 0;
};

// How many bytes from this chunk on come from afar without a local one between.
std::uint64_t run_from(const form::Index& index, const LocalChunks& local, std::uint64_t chunk) {
    std::uint64_t run = 0;
    for (; chunk < index.chunks.size(); ++chunk) {
        if (index.chunks[chunk].stored > 0 && local.stored(index.chunks[chunk].sha256)) {
            break;
        }
        run += index.chunks[chunk].stored;
    }
    return run;
}

}  // namespace

struct Fetching::Way {
    Way(fs::path into, fetch::Url where, ports::Remote what, std::uint64_t most, ProgressView how_far)
        : folder{std::move(into)},
          url{std::move(where)},
          from{std::move(what)},
          most_bytes{most},
          progress{std::move(how_far)} {}

    fs::path folder;
    fetch::Url url;
    ports::Remote from;
    std::uint64_t most_bytes;
    ProgressView progress;
    std::chrono::steady_clock::time_point deadline;

    // Whether the download is still wanted and in time.
    [[nodiscard]] Result<void> goes_on() const {
        if (progress->unwanted) {
            return fail(Code::cancelled, "cancelled");
        }
        if (std::chrono::steady_clock::now() > deadline) {
            return fail(Error{Code::unavailable, "the download takes longer than image_time_limit"}.with_slug(
                "download-too-slow"
            ));
        }
        return {};
    }

    [[nodiscard]] fs::path source() const { return folder / "source"; }
};

fetch::Rules Fetching::rules() const {
    fetch::Rules rules;
    if (!settings_.allow_private_addresses) {
        rules.admits = &fetch::is_public;
    }
    rules.ca_file = settings_.ca_file;
    return rules;
}

Task<std::string>
Fetching::fetch(fs::path folder, ports::Remote from, std::uint64_t most_bytes, ProgressView progress) const {
    CO_TRY(auto url, fetch::parse_url(from.url));
    Way way{std::move(folder), std::move(url), std::move(from), most_bytes, progress};
    way.deadline = std::chrono::steady_clock::now() + settings_.time_limit;
    for (int failures = 0;; ++failures) {
        auto sha256 = co_await attempt(way);
        if (sha256 || !passing(sha256.error()) || failures + 1 == most_attempts) {
            co_return sha256;
        }
        co_await pause_for(200ms * (1 << failures));
    }
}

Task<std::string> Fetching::attempt(const Way& way) const {
    std::string begun(form::magic.size(), '\0');
    const Fd there{::open(way.source().c_str(), O_RDONLY | O_CLOEXEC)};
    const auto have = there ? ::pread(there.get(), begun.data(), begun.size(), 0) : 0;
    const bool may_chunk = way.from.sha256.empty();
    if (have > 0 && !(may_chunk && form::is_form(begun))) {
        co_return co_await whole(way, nullptr, "");
    }
    if (!may_chunk) {
        co_return co_await whole(way, nullptr, "");
    }
    std::vector<std::pair<std::string, std::string>> headers;
    headers.emplace_back("Range", "bytes=0-" + std::to_string(first_look - 1));
    CO_TRY(auto answer, co_await fetch::Download::open(way.url, std::move(headers), rules()));
    if (answer->status() != 200 && answer->status() != 206) {
        co_return not_there(answer->status());
    }
    const bool in_part = answer->status() == 206;
    CO_TRY(auto start, co_await read_up_to(*answer, "", form::header_bytes));
    if (form::is_form(start)) {
        CO_CHECK(co_await by_chunks(way, std::move(answer), std::move(start)));
        co_return std::string{};
    }
    if (!way.from.root.empty()) {
        co_return fail(
            Error{Code::invalid, "the url leads to no .form image, so it has no root"}.with_field("root")
        );
    }
    co_return co_await whole(way, in_part ? nullptr : std::move(answer), in_part ? "" : std::move(start));
}

Task<std::string> Fetching::whole(const Way& way, std::unique_ptr<fetch::Download> answer, std::string start)
    const {
    CO_TRY(const auto file, HashedFile::open(way.source()));
    if (!answer) {
        std::vector<std::pair<std::string, std::string>> headers;
        headers.emplace_back("Range", "bytes=" + std::to_string(file->bytes()) + "-");
        if (const auto etag = read_file(way.folder / "etag")) {
            headers.emplace_back("If-Range", *etag);
        }
        CO_TRY(answer, co_await fetch::Download::open(way.url, std::move(headers), rules()));
        const bool goes_on =
            answer->status() == 206 && range_start(header(*answer, "content-range")) == file->bytes();
        if (answer->status() == 416) {
            co_return file->finish();
        }
        if (!goes_on && answer->status() != 200) {
            co_return not_there(answer->status());
        }
        if (!goes_on) {
            CO_CHECK(file->restart());
        }
    } else {
        CO_CHECK(file->restart());
    }
    if (const auto etag = header(*answer, "etag"); !etag.empty()) {
        CO_CHECK(write_file(way.folder / "etag", etag, 0600));
    }
    const auto length = parse_number<std::uint64_t>(header(*answer, "content-length"));
    way.progress->total = length ? file->bytes() + *length : 0;
    if (way.progress->total > way.most_bytes) {
        co_return too_large(way.most_bytes);
    }
    std::string block = std::move(start);
    auto got = block.size();
    block.resize(piece);
    const auto expected = length ? file->bytes() + *length : 0;
    do {
        CO_CHECK(file->append({block.data(), got}));
        way.progress->done = file->bytes();
        fault_point("import.downloading");
        if (file->bytes() > way.most_bytes) {
            co_return too_large(way.most_bytes);
        }
        CO_CHECK(way.goes_on());
        CO_TRY(got, co_await answer->read(block.data(), block.size()));
    } while (got > 0);
    if (length && file->bytes() < expected) {
        co_return fail(Error{Code::unavailable, "the download ended early"}.with_slug("download-failed"));
    }
    co_return file->finish();
}

Task<void> Fetching::by_chunks(const Way& way, std::unique_ptr<fetch::Download> answer, std::string start)
    const {
    CO_TRY(const auto header, form::read_header(start));
    RemoteFile remote{way.url, rules(), std::move(answer), start.size()};
    const auto rest = header.index_bytes() - start.size();
    CO_TRY(const auto more, co_await remote.read(start.size(), rest, rest));
    start.append(more);
    const auto read = form::read_index(start);
    if (!read) {
        co_return refused("image-corrupt", read.error().message());
    }
    const auto& index = *read;
    CO_TRY(const auto facts, importer_.facts_of(index));
    if (!way.from.root.empty() && way.from.root != facts.root) {
        co_return fail(Error{Code::invalid, "the image's root is " + facts.root}
                           .with_slug("root-mismatch")
                           .with_field("root"));
    }
    if (index.file_bytes() > way.most_bytes) {
        co_return too_large(way.most_bytes);
    }
    const LocalChunks local{vault_, index};
    auto here = index;
    for (auto& chunk : here.chunks) {
        chunk.stored = chunk.stored == 0 ? 0 : local.stored(chunk.sha256).value_or(chunk.stored);
    }
    CO_TRY(auto assembly, Assembly::begin(way.source(), here));
    way.progress->total = index.payload_bytes();
    std::uint64_t at = index.header.index_bytes();
    for (std::uint64_t chunk = 0; chunk < index.chunks.size(); ++chunk) {
        const auto stored = index.chunks[chunk].stored;
        if (chunk >= assembly.next()) {
            std::string bytes;
            if (stored > 0 && local.stored(index.chunks[chunk].sha256)) {
                CO_TRY(bytes, local.read(index.chunks[chunk].sha256));
            } else if (stored > 0) {
                CO_TRY(bytes, co_await remote.read(at, stored, run_from(index, local, chunk)));
            }
            if (const auto sound = form::expand(here, chunk, bytes); !sound) {
                co_return refused("image-corrupt", sound.error().message());
            }
            CO_CHECK(assembly.append(bytes));
            fault_point("import.downloading");
        }
        at += stored;
        way.progress->done += stored;
        CO_CHECK(way.goes_on());
    }
    co_return assembly.finish();
}

}  // namespace vmm::images
