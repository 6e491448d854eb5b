#include "folder.h"

#include "vmm/base/files.h"
#include "vmm/base/text.h"
#include "vmm/domain/names.h"
#include "vmm/form/files.h"
#include "vmm/json/decode.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <set>

namespace vmm::images {
namespace {

namespace fs = std::filesystem;
using domain::ImageStatus;

constexpr std::chrono::milliseconds settle_time{500};

// NAME/image.json.
struct Manifest {
    int format = 0;
    std::string kind;
    std::string architecture;
    std::string description;
    std::string kernel;
    std::string initrd;
    std::string command_line;
    std::optional<std::uint32_t> vcpus;
    std::optional<std::uint32_t> memory_mib;
    static constexpr std::array required{"format", "kind", "kernel"};
};
BOOST_DESCRIBE_STRUCT(
    Manifest,
    (),
    (format, kind, architecture, description, kernel, initrd, command_line, vcpus, memory_mib)
)

// Endings that are not part of an image's name. What is in a file is told by its content alone.
constexpr std::array<std::string_view, 10>
    endings{".qcow2", ".img", ".raw", ".vmdk", ".form", ".vhdx", ".vhd", ".vdi", ".ova", ".iso"};

std::string name_of(const std::string& file) {
    for (const auto ending : endings) {
        if (file.ends_with(ending) && file.size() > ending.size()) {
            return file.substr(0, file.size() - ending.size());
        }
    }
    return file;
}

bool safe_command_line(std::string_view line) {
    return line.size() <= 1500 &&
           std::ranges::all_of(line, [](char c) { return c >= 0x20 && c < 0x7f && c != '"'; });
}

// The file that a folder stands for: the vmdk descriptor in it, when that is what it holds.
fs::path descriptor_in(const fs::path& folder) {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator{folder, failed}) {
        const auto start = read_file(entry.path(), 1 << 20);
        if (start && start->starts_with("# Disk DescriptorFile")) {
            return entry.path();
        }
    }
    return {};
}

std::string start_of(const fs::path& path) {
    const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    std::string start(21, '\0');
    const auto got = fd ? ::pread(fd.get(), start.data(), start.size(), 0) : 0;
    start.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    return start;
}

}  // namespace

std::optional<Folder::Mark> Folder::mark_of(const fs::path& path, const std::vector<Member>& extents) {
    const auto changed = [](const struct stat& info) {
        return static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec;
    };
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) {
        return std::nullopt;
    }
    Mark mark{info.st_dev, info.st_ino, info.st_size, changed(info)};
    const bool is_folder = S_ISDIR(info.st_mode);
    const auto add = [&](const fs::path& file) {
        if (::stat(file.c_str(), &info) == 0) {
            mark.inode ^= info.st_ino << 1;
            mark.bytes += info.st_size;
            mark.changed_ns = std::max(mark.changed_ns, changed(info));
        }
    };
    for (const auto& extent : extents) {
        if (!extent.name.empty()) {
            add(path.parent_path() / extent.name);
        }
    }
    std::error_code failed;
    for (auto file = is_folder ? fs::directory_iterator{path, failed} : fs::directory_iterator{};
         !failed && file != fs::directory_iterator{};
         file.increment(failed)) {
        add(file->path());
    }
    return mark;
}

fs::path Folder::seen_file() const {
    return fs::path{settings_.folder} / ".images" / settings_.owner / "seen";
}

// One line for each: device, inode, bytes, time of change, SHA-256.
void Folder::load() {
    const std::lock_guard lock{mutex_};
    for (const auto& line : split(read_file(seen_file(), 16 << 20).value_or(""), '\n')) {
        const auto words = split(line, ' ');
        if (words.size() != 5) {
            continue;
        }
        const auto device = parse_number<std::uint64_t>(words[0]);
        const auto inode = parse_number<std::uint64_t>(words[1]);
        const auto bytes = parse_number<std::int64_t>(words[2]);
        const auto changed = parse_number<std::int64_t>(words[3]);
        if (device && inode && bytes && changed) {
            seen_.emplace(Mark{*device, *inode, *bytes, *changed}, words[4]);
        }
    }
}

void Folder::save() const {
    std::string text;
    for (const auto& [name, entry] : entries_) {
        if (const auto& mark = entry.mark; entry.worked && !entry.shown.sha256.empty()) {
            text.append(std::to_string(mark.device))
                .append(" ")
                .append(std::to_string(mark.inode))
                .append(" ");
            text.append(std::to_string(mark.bytes))
                .append(" ")
                .append(std::to_string(mark.changed_ns))
                .append(" ");
            text.append(entry.shown.sha256).append("\n");
        }
    }
    // Lost, it costs a hashing.
    (void)write_file(seen_file(), text, 0600);
}

std::map<std::string, fs::path> Folder::files() const {
    std::map<std::string, fs::path> out;
    std::set<std::string> extents;
    std::error_code failed;
    for (const auto& item : fs::directory_iterator{settings_.folder, failed}) {
        const auto file = item.path().filename().string();
        if (file.starts_with('.')) {
            continue;
        }
        const auto name = name_of(file);
        if (const auto [there, fresh] = out.try_emplace(name, item.path());
            !fresh && item.path() < there->second) {
            there->second = item.path();
        }
        if (!item.is_directory(failed) && file.ends_with(".vmdk") &&
            start_of(item.path()) == "# Disk DescriptorFile") {
            const auto found = read_vmdk_descriptor(read_file(item.path(), 1 << 20).value_or(""));
            for (const auto& extent : found ? found->extents : std::vector<Member>{}) {
                extents.insert(extent.name);
            }
        }
    }
    for (const auto& extent : extents) {
        out.erase(name_of(extent));
    }
    return out;
}

std::vector<fs::path> Folder::folders() const {
    std::vector<fs::path> out;
    std::error_code failed;
    for (const auto& item : fs::directory_iterator{settings_.folder, failed}) {
        if (!item.path().filename().string().starts_with('.') && item.is_directory(failed)) {
            out.push_back(item.path());
        }
    }
    return out;
}

std::vector<ports::Dropped> Folder::all() {
    const auto present = files();
    const std::lock_guard lock{mutex_};
    std::erase_if(entries_, [&present](const auto& known) { return !present.contains(known.first); });
    std::vector<ports::Dropped> out;
    for (const auto& [name, path] : present) {
        out.push_back(shown(entry(name, path)));
    }
    return out;
}

std::optional<ports::Dropped> Folder::find(const std::string& name) {
    const std::lock_guard lock{mutex_};
    std::error_code failed;
    // The usual case costs one look at the file.
    if (const auto known = entries_.find(name);
        known != entries_.end() &&
        mark_of(known->second.file, known->second.found.extents) == known->second.mark) {
        return shown(known->second);
    }
    auto path = fs::path{settings_.folder} / name;
    for (auto ending = endings.begin(); !fs::exists(path, failed); ++ending) {
        if (ending == endings.end()) {
            entries_.erase(name);
            return std::nullopt;
        }
        path = fs::path{settings_.folder} / (name + std::string{*ending});
    }
    return shown(entry(name, path));
}

Result<void> Folder::remove(const std::string& name) {
    const auto found = find(name);
    if (!found) {
        return fail(Code::not_found, "there is no image " + quote(name));
    }
    const std::lock_guard lock{mutex_};
    const auto& gone = entries_.at(name);
    std::error_code failed;
    const bool within_folder = gone.file.parent_path() != fs::path{settings_.folder};
    for (const auto& extent : gone.found.extents) {
        if (!extent.name.empty()) {
            fs::remove(gone.file.parent_path() / extent.name, failed);
        }
    }
    fs::remove_all(within_folder ? gone.file.parent_path() : gone.file, failed);
    if (failed) {
        return fail(os_error("removing the image", failed.value()));
    }
    entries_.erase(name);
    return {};
}

const Folder::Entry& Folder::entry(const std::string& name, const fs::path& path) {
    auto& place = entries_[name];
    if (place.file.empty() || (place.file != path && place.file.parent_path() != path) ||
        mark_of(place.file, place.found.extents) != place.mark) {
        place = probed(name, path);
    }
    return place;
}

Folder::Entry Folder::probed(const std::string& name, const fs::path& path) const {
    Entry out;
    out.file = path;
    out.shown.name = name;
    const auto all_of_it = mark_of(path);
    const auto sound = look_at(out, path);
    std::error_code failed;
    if (!sound && fs::is_directory(path, failed)) {
        // Whatever comes into it may be what it lacks.
        out.file = path;
        out.mark = all_of_it.value_or(Mark{});
        out.found = {};
    }
    out.shown.changed_at = {out.mark.changed_ns / 1'000'000};
    if (!sound) {
        const auto& error = sound.error();
        const bool named = !error.field().empty() && error.field() != "image";
        out.shown.status = ImageStatus::refused;
        out.shown.reason = (named ? error.field() + ": " : "") + error.message();
    }
    return out;
}

// Fills the entry in; an error says why it is refused. The mark is taken before anything is read, so that
// what changes meanwhile is seen the next time.
Result<void> Folder::look_at(Entry& out, const fs::path& path) const {
    out.mark = mark_of(path).value_or(Mark{});
    if (const auto named = domain::check_image_name(out.shown.name); !named) {
        return fail(Code::invalid, "its name cannot be an image's: " + named.error().message());
    }
    std::error_code failed;
    if (!fs::is_directory(path, failed)) {
        return look_at_disk(out);
    }
    if (fs::exists(path / "image.json", failed)) {
        out.file = path / "image.json";
        out.mark = mark_of(out.file).value_or(Mark{});
        TRY(out.shown.content, kernel(path));
        out.shown.status = ImageStatus::ready;
        out.worked = true;
        return {};
    }
    const auto descriptor = descriptor_in(path);
    if (descriptor.empty()) {
        return fail(Code::invalid, "the folder holds neither an image.json nor a vmdk descriptor");
    }
    out.file = descriptor;
    out.mark = mark_of(out.file).value_or(Mark{});
    return look_at_disk(out);
}

Result<void> Folder::look_at_disk(Entry& out) const {
    const Fd fd{::open(out.file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    struct stat info{};
    if (!fd || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
        return fail(Code::invalid, "it is no regular file that can be read");
    }
    const auto bytes = Bytes::of_file(fd.get(), static_cast<std::uint64_t>(info.st_size));
    TRY(out.found, probe(bytes, settings_.most_virtual_bytes));
    out.mark = mark_of(out.file, out.found.extents).value_or(out.mark);
    CHECK(check_tables(bytes));
    for (const auto& extent : out.found.extents) {
        struct stat one{};
        const bool own = extent.name.empty() || extent.name == out.file.filename().string();
        if (!own &&
            (::lstat((out.file.parent_path() / extent.name).c_str(), &one) != 0 || !S_ISREG(one.st_mode))) {
            return fail(Code::invalid, "the vmdk's extent " + quote(extent.name) + " is missing");
        }
    }
    auto& facts = out.shown.content.facts;
    auto& boots = out.shown.content.boots;
    facts.format = out.found.format;
    facts.kind = "disk";
    facts.architecture = "x86_64";
    facts.virtual_bytes = out.found.virtual_bytes;
    facts.stored_bytes = static_cast<std::uint64_t>(info.st_blocks) * 512;
    const bool as_it_is = out.found.format == "raw" || out.found.format == "qcow2";
    if (const auto seen = seen_.find(out.mark); seen != seen_.end()) {
        out.shown.sha256 = seen->second;
        out.worked = as_it_is || vault_.find_sha256(seen->second).has_value();
    }
    if (as_it_is) {
        out.shown.status = ImageStatus::ready;
        boots.disk = fs::absolute(out.file);
        boots.disk_format = out.found.format;
        boots.disk_bytes = out.found.virtual_bytes;
    }
    return {};
}

Result<ports::Content> Folder::kernel(const fs::path& folder) {
    const auto text = read_file(folder / "image.json");
    if (!text) {
        return fail(Code::invalid, text.error().message());
    }
    const auto manifest = json::decode_text<Manifest>(*text);
    if (!manifest) {
        return fail(
            Code::invalid, "image.json: " + manifest.error().field() + ": " + manifest.error().message()
        );
    }
    if (manifest->format != 1 || manifest->kind != "kernel") {
        return fail(Code::invalid, "image.json must have format 1 and kind \"kernel\"");
    }
    if (!plain_file_name(manifest->kernel) ||
        (!manifest->initrd.empty() && !plain_file_name(manifest->initrd))) {
        return fail(Code::invalid, "kernel and initrd must be names of files beside image.json");
    }
    if (!safe_command_line(manifest->command_line)) {
        return fail(
            Code::invalid, "the command line must be at most 1500 printable characters without quotes"
        );
    }
    ports::Content content;
    auto& boots = content.boots;
    boots.kernel = fs::absolute(folder / manifest->kernel);
    if (!manifest->initrd.empty()) {
        boots.initrd = fs::absolute(folder / manifest->initrd);
    }
    for (const auto& file : {boots.kernel, boots.initrd}) {
        if (!file.empty() && ::access(file.c_str(), R_OK) != 0) {
            return fail(Code::invalid, file.filename().string() + " is missing");
        }
    }
    boots.command_line = manifest->command_line;
    boots.vcpus = content.facts.vcpus = manifest->vcpus;
    boots.memory_mib = content.facts.memory_mib = manifest->memory_mib;
    content.facts.format = "kernel";
    content.facts.kind = "kernel";
    content.facts.architecture = "x86_64";
    content.facts.description = manifest->description;
    content.facts.stored_bytes = real_bytes_below(folder);
    return content;
}

// With what has become of its conversion.
ports::Dropped Folder::shown(const Entry& entry) const {
    auto out = entry.shown;
    if (out.status == ImageStatus::importing && !out.sha256.empty()) {
        if (auto content = vault_.find_sha256(out.sha256)) {
            out.content = *std::move(content);
            out.status = ImageStatus::ready;
        }
    }
    out.content.boots.name = out.name;
    return out;
}

// By the time of their last change of any kind, since a copy may carry its source's time of writing.
bool Folder::settled(const Entry& entry) {
    std::vector<fs::path> files{entry.file};
    for (const auto& extent : entry.found.extents) {
        if (!extent.name.empty()) {
            files.push_back(entry.file.parent_path() / extent.name);
        }
    }
    struct timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return std::ranges::none_of(files, [&now](const fs::path& file) {
        struct stat info{};
        if (::stat(file.c_str(), &info) != 0) {
            return false;
        }
        const auto age = std::chrono::seconds{now.tv_sec - info.st_ctim.tv_sec} +
                         std::chrono::nanoseconds{now.tv_nsec - info.st_ctim.tv_nsec};
        return age >= std::chrono::nanoseconds{0} && age < settle_time;
    });
}

Folder::Next Folder::next_work() {
    (void)all();
    const std::lock_guard lock{mutex_};
    Next next;
    // Those that cannot be used without come first.
    for (const auto wanted : {ImageStatus::importing, ImageStatus::ready}) {
        for (const auto& [name, entry] : entries_) {
            if (entry.worked || entry.shown.status != wanted) {
                continue;
            }
            if (settled(entry)) {
                next.work = Work{name, entry.file, entry.found};
                return next;
            }
            next.unsettled = true;
        }
    }
    return next;
}

void Folder::done(const Work& work, const std::string& sha256, const std::optional<Error>& failed) {
    const std::lock_guard lock{mutex_};
    const auto place = entries_.find(work.name);
    if (place == entries_.end() || place->second.file != work.file ||
        mark_of(work.file, work.found.extents) != place->second.mark) {
        return;  // changed meanwhile; it will be looked at anew
    }
    place->second.worked = true;
    place->second.shown.sha256 = sha256;
    if (failed) {
        place->second.shown.status = ImageStatus::refused;
        place->second.shown.reason = failed->message();
    } else {
        seen_[place->second.mark] = sha256;
        save();
    }
}

}  // namespace vmm::images
