#include "vault.h"

#include "vmm/base/files.h"
#include "vmm/base/ids.h"
#include "vmm/json/decode.h"
#include "vmm/json/encode.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace vmm::images {
namespace {

namespace fs = std::filesystem;

// contents/ID/content.json.
struct Row {
    int v = 1;
    std::string sha256;
    std::string format;
    std::string kind;
    std::string architecture;
    std::uint64_t virtual_bytes = 0;
    std::string publisher;
    std::string root;
    std::string version;
    std::string description;
    std::optional<std::uint32_t> vcpus;
    std::optional<std::uint32_t> memory_mib;
    std::optional<std::uint32_t> minimum_disk_gib;
    std::string disk_format;
    std::string firmware;
    std::string command_line;
    bool initrd = false;
};
BOOST_DESCRIBE_STRUCT(
    Row,
    (),
    (v,
     sha256,
     format,
     kind,
     architecture,
     virtual_bytes,
     publisher,
     root,
     version,
     description,
     vcpus,
     memory_mib,
     minimum_disk_gib,
     disk_format,
     firmware,
     command_line,
     initrd)
)

Row row_of(const ports::Content& content) {
    const auto& facts = content.facts;
    Row row;
    row.sha256 = content.sha256;
    row.format = facts.format;
    row.kind = facts.kind;
    row.architecture = facts.architecture;
    row.virtual_bytes = facts.virtual_bytes;
    row.publisher = facts.publisher;
    row.root = facts.root;
    row.version = facts.version;
    row.description = facts.description;
    row.vcpus = facts.vcpus;
    row.memory_mib = facts.memory_mib;
    row.minimum_disk_gib = facts.minimum_disk_gib;
    row.disk_format = content.boots.disk_format;
    row.firmware = content.boots.firmware;
    row.command_line = content.boots.command_line;
    row.initrd = !content.boots.initrd.empty();
    return row;
}

bool is_content_id(std::string_view text) {
    return text.size() == 64 &&
           std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<void> make_folder(const fs::path& folder) {
    std::error_code failed;
    fs::create_directories(folder, failed);
    if (failed) {
        return fail(os_error("making a folder for images", failed.value()));
    }
    fs::permissions(folder, fs::perms::owner_all, failed);
    return {};
}

}  // namespace

std::uint64_t real_bytes_below(const fs::path& folder) {
    std::uint64_t bytes = 0;
    std::error_code failed;
    for (const auto& entry : fs::recursive_directory_iterator{folder, failed}) {
        struct stat info{};
        if (::lstat(entry.path().c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
            bytes += static_cast<std::uint64_t>(info.st_blocks) * 512;
        }
    }
    return bytes;
}

Vault::Vault(const Settings& settings)
    : settings_{settings},
      contents_{fs::absolute(settings.folder) / ".images" / settings.owner / "contents"},
      incoming_{fs::absolute(settings.folder) / ".images" / settings.owner / "incoming"} {}

Result<void> Vault::load() {
    CHECK(make_folder(contents_));
    CHECK(make_folder(incoming_));
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator{contents_, failed}) {
        const auto id = entry.path().filename().string();
        auto content = is_content_id(id) ? read(id) : fail(Code::malformed, "not a content");
        if (!content) {
            std::error_code ignored;
            fs::remove_all(entry.path(), ignored);
            continue;
        }
        known_.emplace(id, *std::move(content));
    }
    return {};
}

void Vault::locate(ports::Content& content) const {
    const auto folder = contents_ / content.id;
    auto& boots = content.boots;
    if (content.facts.kind == "kernel") {
        boots.kernel = folder / "kernel";
        boots.initrd = boots.initrd.empty() ? fs::path{} : folder / "initrd";
    } else {
        boots.disk = folder / "disk";
        boots.disk_bytes = content.facts.virtual_bytes;
    }
    boots.vcpus = content.facts.vcpus;
    boots.memory_mib = content.facts.memory_mib;
    boots.minimum_disk_gib = content.facts.minimum_disk_gib;
    content.facts.trust = trust(content.facts);
}

Result<ports::Content> Vault::read(const std::string& id) const {
    TRY(const auto text, read_file(contents_ / id / "content.json"));
    TRY(auto row, json::decode_text<Row>(text));
    ports::Content content;
    content.id = id;
    content.sha256 = row.sha256;
    auto& facts = content.facts;
    facts.format = row.format;
    facts.kind = row.kind;
    facts.architecture = row.architecture;
    facts.virtual_bytes = row.virtual_bytes;
    facts.publisher = row.publisher;
    facts.root = row.root;
    facts.version = row.version;
    facts.description = row.description;
    facts.vcpus = row.vcpus;
    facts.memory_mib = row.memory_mib;
    facts.minimum_disk_gib = row.minimum_disk_gib;
    facts.stored_bytes = real_bytes_below(contents_ / id);
    content.boots.disk_format = row.disk_format;
    content.boots.firmware = row.firmware;
    content.boots.command_line = row.command_line;
    content.boots.initrd = row.initrd ? "initrd" : "";
    locate(content);
    return content;
}

domain::Trust Vault::trust(const domain::ImageFacts& facts) const {
    if (facts.format != "form") {
        return domain::Trust::none;
    }
    if (facts.publisher.empty()) {
        return domain::Trust::not_signed;
    }
    const bool known =
        std::ranges::any_of(settings_.trusted_publishers, [&facts](const domain::Address& address) {
            return address.text() == facts.publisher;
        });
    return known ? domain::Trust::trusted : domain::Trust::unknown_publisher;
}

std::optional<ports::Content> Vault::find(const std::string& id) const {
    const std::lock_guard lock{mutex_};
    const auto found = known_.find(id);
    return found == known_.end() ? std::nullopt : std::optional{found->second};
}

std::optional<ports::Content> Vault::find_sha256(const std::string& sha256) const {
    const std::lock_guard lock{mutex_};
    const auto found =
        std::ranges::find_if(known_, [&sha256](const auto& entry) { return entry.second.sha256 == sha256; });
    return sha256.empty() || found == known_.end() ? std::nullopt : std::optional{found->second};
}

std::vector<ports::Content> Vault::all() const {
    const std::lock_guard lock{mutex_};
    std::vector<ports::Content> out;
    out.reserve(known_.size());
    for (const auto& [id, content] : known_) {
        out.push_back(content);
    }
    return out;
}

std::vector<std::string> Vault::incoming() const {
    std::vector<std::string> ids;
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator{incoming_, failed}) {
        ids.push_back(entry.path().filename().string());
    }
    return ids;
}

Result<fs::path> Vault::place(const std::string& id) const {
    auto folder = place_of(id);
    CHECK(make_folder(folder));
    return folder;
}

Result<ports::Content> Vault::keep(const fs::path& made, ports::Content content) {
    CHECK(write_file(made / "content.json", json::encode(row_of(content)), 0600));
    content.facts.stored_bytes = real_bytes_below(made);
    for (const auto& entry : fs::directory_iterator{made}) {
        const Fd file{::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC)};
        if (!file || ::fdatasync(file.get()) != 0) {
            return fail(os_error("storing an image"));
        }
    }
    CHECK(sync_folder(made));
    locate(content);
    const std::lock_guard lock{mutex_};
    if (const auto found = known_.find(content.id); found != known_.end()) {
        return found->second;
    }
    if (::rename(made.c_str(), (contents_ / content.id).c_str()) != 0) {
        return fail(os_error("storing an image"));
    }
    CHECK(sync_folder(contents_));
    known_.emplace(content.id, content);
    return content;
}

Result<void> Vault::remove(const std::string& id) {
    {
        const std::lock_guard lock{mutex_};
        known_.erase(id);
    }
    // Out of the way first: what cannot be removed whole is no content any more.
    const auto gone = incoming_ / ("removed-" + id);
    if (::rename((contents_ / id).c_str(), gone.c_str()) != 0 && errno != ENOENT) {
        return fail(os_error("removing an image"));
    }
    std::error_code failed;
    fs::remove_all(gone, failed);
    return failed ? fail(os_error("removing an image", failed.value())) : Result<void>{};
}

Result<void> Vault::discard(const std::string& id) const {
    std::error_code failed;
    fs::remove_all(place_of(id), failed);
    return failed ? fail(os_error("removing an unfinished image", failed.value())) : Result<void>{};
}

}  // namespace vmm::images
