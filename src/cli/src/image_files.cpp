#include "image_files.h"

#include "vmm/base/files.h"
#include "vmm/base/text.h"
#include "vmm/crypto/sha256.h"
#include "vmm/fetch/stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "bar.h"
#include "receive.h"

namespace vmm::cli {
namespace {

namespace fs = std::filesystem;

constexpr auto idle_limit = std::chrono::milliseconds{60000};

Result<std::string> hash_part(int file, std::uint64_t from, std::uint64_t to, const ProgressView& progress) {
    crypto::Sha256 hash;
    std::string block(1 << 20, '\0');
    for (auto at = from; at < to;) {
        const auto got = ::pread(
            file, block.data(), std::min<std::uint64_t>(block.size(), to - at), static_cast<off_t>(at)
        );
        if (got <= 0) {
            return fail(os_error("reading the file"));
        }
        hash.add({block.data(), static_cast<std::size_t>(got)});
        at += static_cast<std::uint64_t>(got);
        if (progress) {
            progress->done = at - from;
        }
    }
    return to_hex(hash.digest());
}

// A file that is gone with its owner.
struct Temporary {
    Temporary() = default;

    Temporary(Temporary&& other) noexcept : path{std::exchange(other.path, {})} {}

    Temporary& operator=(Temporary&&) = delete;

    ~Temporary() {
        if (!path.empty()) {
            ::unlink(path.c_str());
        }
    }

    fs::path path;
};

// One member's header of a ustar archive.
std::string tar_header(const std::string& name, std::uint64_t bytes) {
    std::string header(512, '\0');
    const auto put = [&header](std::size_t at, const std::string& text) {
        header.replace(at, text.size(), text);
    };
    std::array<char, 16> size{};
    std::snprintf(size.data(), size.size(), "%011llo", static_cast<unsigned long long>(bytes));
    put(0, name);
    put(100, "0000600");
    put(108, "0000000");
    put(116, "0000000");
    put(124, size.data());
    put(136, "00000000000");
    put(156, "0");
    put(257, "ustar");
    put(263, "00");
    put(148, std::string(8, ' '));
    unsigned sum = 0;
    for (const char c : header) {
        sum += static_cast<unsigned char>(c);
    }
    std::snprintf(size.data(), size.size(), "%06o", sum);
    header.replace(148, 7, std::string{size.data()} + '\0');
    return header;
}

Result<void> add_to_tar(std::FILE* archive, const fs::path& file) {
    const Fd from{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
    struct stat info{};
    if (!from || ::fstat(from.get(), &info) != 0) {
        return fail(os_error("reading " + file.string()));
    }
    if (file.filename().string().size() > 99 || info.st_size >= (8LL << 30)) {
        return fail(
            Code::invalid,
            file.filename().string() +
                " has too long a name or is larger than 8 GiB; convert the vmdk to streamOptimized"
        );
    }
    const auto header = tar_header(file.filename().string(), static_cast<std::uint64_t>(info.st_size));
    std::fwrite(header.data(), 1, header.size(), archive);
    std::string block(1 << 20, '\0');
    while (true) {
        const auto got = ::read(from.get(), block.data(), block.size());
        if (got <= 0) {
            break;
        }
        std::fwrite(block.data(), 1, static_cast<std::size_t>(got), archive);
    }
    const std::string padding(static_cast<std::size_t>((512 - info.st_size % 512) % 512), '\0');
    std::fwrite(padding.data(), 1, padding.size(), archive);
    return std::ferror(archive) != 0 ? fail(os_error("writing the archive")) : Result<void>{};
}

// The extents that a vmdk descriptor names, and the descriptor, in one archive; nothing for another file.
Result<Temporary> archived_set(const fs::path& file) {
    Temporary out;
    const auto text = read_file(file, 1 << 20);
    if (!text || !text->starts_with("# Disk DescriptorFile")) {
        return out;
    }
    out.path = (fs::temp_directory_path() / "vmctl-XXXXXX").string();
    auto name = out.path.string();
    const int made = ::mkstemp(name.data());
    out.path = name;
    std::FILE* archive = made < 0 ? nullptr : ::fdopen(made, "w");
    if (archive == nullptr) {
        return fail(os_error("making an archive"));
    }
    auto added = add_to_tar(archive, file);
    for (const auto& line : split(*text, '\n')) {
        const auto open = line.find('"');
        const auto close = line.rfind('"');
        const bool extent = line.starts_with("RW ") || line.starts_with("RDONLY ");
        if (added && extent && open != std::string::npos && close > open + 1) {
            added = add_to_tar(
                archive, file.parent_path() / fs::path{line.substr(open + 1, close - open - 1)}.filename()
            );
        }
    }
    const std::string end(1024, '\0');
    std::fwrite(end.data(), 1, end.size(), archive);
    const bool written = std::fclose(archive) == 0;
    CHECK(added);
    return written ? Result<Temporary>{std::move(out)} : fail(os_error("writing the archive"));
}

std::string name_from(const fs::path& file) {
    return file.stem().string();
}

// How much of this file the service has from an earlier attempt.
std::uint64_t
received(Client& client, const std::string& name, const std::string& sha256, std::uint64_t size) {
    const auto image = client.call("GET", "/images/" + query_escaped(name));
    if (!image || image->text_or("status", "") != "uploading" || image->text_or("sha256", "") != sha256) {
        return 0;
    }
    const auto* bytes = image->find("received_bytes");
    const auto* number = bytes == nullptr ? nullptr : bytes->as<json::Number>();
    const auto have = number == nullptr ? 0 : parse_number<std::uint64_t>(number->text).value_or(0);
    return have < size ? have : 0;
}

}  // namespace

Result<json::Value> await_image(Client& client, const std::string& operation, const std::string& name) {
    CHECK(with_bar("importing " + name, [&](const ProgressView& progress) -> Result<void> {
        while (true) {
            TRY(const auto now_is, client.call("GET", "/operations/" + operation + "?wait=1"));
            const auto status = now_is.text_or("status", "");
            if (status == "succeeded") {
                return {};
            }
            if (status == "failed" || status == "cancelled") {
                const auto* error = now_is.find("error");
                return fail(Error{
                    Code::conflict,
                    error == nullptr ? "the import was " + std::string{status}
                                     : std::string{error->text_or("detail", "")}
                }.with_slug(error == nullptr ? "" : error->text_or("code", "")));
            }
            progress->total = 100;
        }
    }));
    return client.call("GET", "/images/" + query_escaped(name));
}

Result<json::Value> push(const Settings& settings, PushOptions options) {
    TRY(const auto set, archived_set(options.file));
    const auto path = set.path.empty() ? fs::path{options.file} : set.path;
    options.name = options.name.empty() ? name_from(options.file) : options.name;
    const Fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    struct stat info{};
    if (!file || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0) {
        return fail(Code::not_found, quote(options.file) + " is no file with content that can be read");
    }
    const auto size = static_cast<std::uint64_t>(info.st_size);
    std::string whole;
    CHECK(with_bar("hashing " + options.file, [&](const ProgressView& progress) -> Result<void> {
        progress->total = size;
        TRY(whole, hash_part(file.get(), 0, size, progress));
        return {};
    }));
    Client client{settings};
    const auto offset = received(client, options.name, whole, size);
    auto part = whole;
    fetch::Upload upload;
    if (offset > 0) {
        TRY(part, hash_part(file.get(), offset, size, nullptr));
        upload.request.headers.emplace_back(
            "Content-Range",
            "bytes " + std::to_string(offset) + "-" + std::to_string(size - 1) + "/" + std::to_string(size)
        );
    }
    upload.request.method = "POST";
    upload.request.target = "/images?name=" + query_escaped(options.name) + "&sha256=" + whole +
                            (options.is_public ? "&visibility=public" : "");
    TRY(const auto signature, client.signature("POST", upload.request.target, part));
    upload.request.headers.insert(upload.request.headers.end(), signature.begin(), signature.end());
    upload.request.headers.emplace_back("Content-Type", "application/octet-stream");
    upload.request.headers.emplace_back("X-Content-SHA256", part);
    upload.file = file.get();
    upload.offset = offset;
    upload.bytes = size - offset;
    TRY(const auto origin, client.origin());
    std::optional<fetch::Response> response;
    CHECK(with_bar("sending " + options.file, [&](const ProgressView& progress) -> Result<void> {
        progress->total = size;
        upload.progress = progress;
        TRY(response, complete(fetch::send_file(origin, upload, idle_limit)));
        return {};
    }));
    TRY(auto answer, client.read(*response, upload.request.target));
    if (response->status == 202 && answer.text_or("kind", "") == "import") {
        return await_image(client, std::string{answer.text_or("id", "")}, options.name);
    }
    return answer;
}

Result<void> pull(const Settings& settings, const std::string& name, const std::string& file) {
    Client client{settings};
    const auto target = "/images/" + query_escaped(name) + "/content";
    const auto unfinished = file + ".part";
    const Fd out{::open(unfinished.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)};
    struct stat info{};
    if (!out || ::fstat(out.get(), &info) != 0) {
        return fail(os_error("making " + unfinished));
    }
    TRY(auto headers, client.signature("GET", target, ""));
    const auto have = static_cast<std::uint64_t>(info.st_size);
    if (have > 0) {
        headers.emplace_back("Range", "bytes=" + std::to_string(have) + "-");
    }
    TRY(auto url, fetch::parse_url(settings.url));
    url.target = target;
    std::string expected;
    CHECK(with_bar("receiving " + name, [&](const ProgressView& progress) -> Result<void> {
        TRY(expected, complete(receive_into(out.get(), have, url, headers, settings.ca_file, progress)));
        return {};
    }));
    if (::fstat(out.get(), &info) != 0) {
        return fail(os_error("reading " + unfinished));
    }
    if (!expected.empty()) {
        TRY(const auto actual, hash_part(out.get(), 0, static_cast<std::uint64_t>(info.st_size), nullptr));
        if (actual != expected) {
            ::unlink(unfinished.c_str());
            return fail(Error{Code::conflict, "what came has another SHA-256 than the image; it was removed"}
                            .with_slug("content-hash-mismatch"));
        }
    }
    if (::rename(unfinished.c_str(), file.c_str()) != 0) {
        return fail(os_error("naming " + file));
    }
    std::printf(
        "%s %s%s\n",
        file.c_str(),
        amount(static_cast<std::uint64_t>(info.st_size)).c_str(),
        expected.empty() ? "" : ", SHA-256 as the service says"
    );
    return {};
}

}  // namespace vmm::cli
