#pragma once

#include "vmm/images/store.h"

#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "probe.h"
#include "vault.h"

namespace vmm::images {

// What operators have put into the image folder. Each entry is probed when it is first seen and again when it
// has changed. Thread-safe.
class Folder {
public:
    Folder(const Settings& settings, const Vault& vault) : settings_{settings}, vault_{vault} {}

    // Reads the hashes that an earlier run has made, so that nothing is hashed or converted twice.
    void load();

    // Folders that may be images, for whoever watches what comes into them.
    [[nodiscard]] std::vector<std::filesystem::path> folders() const;
    std::vector<ports::Dropped> all();
    std::optional<ports::Dropped> find(const std::string& name);
    Result<void> remove(const std::string& name);

    // An entry that needs its hash, or a conversion.
    struct Work {
        std::string name;
        std::filesystem::path file;
        Found found;
    };

    struct Next {
        std::optional<Work> work;
        bool unsettled = false;  // something is there that is still being written
    };

    // Nothing that has changed within the last half second: a half-copied file is not worth its conversion.
    Next next_work();
    // What came of it.
    void done(const Work& work, const std::string& sha256, const std::optional<Error>& failed);

private:
    struct Mark {
        std::uint64_t device = 0;
        std::uint64_t inode = 0;
        std::int64_t bytes = 0;
        std::int64_t changed_ns = 0;
        auto operator<=>(const Mark&) const = default;
    };

    struct Entry {
        Mark mark;
        ports::Dropped shown;
        Found found;
        std::filesystem::path file;
        bool worked = false;
    };

    // Of a file, and of a vmdk's extents beside it, or of a folder with the files in it: what it was when it
    // was last looked at. Nothing when it is gone.
    static std::optional<Mark>
    mark_of(const std::filesystem::path& path, const std::vector<Member>& extents = {});
    [[nodiscard]] static bool settled(const Entry& entry);
    // Files by the name that they give an image; extents of vmdk sets are none of their own.
    std::map<std::string, std::filesystem::path> files() const;
    const Entry& entry(const std::string& name, const std::filesystem::path& path);
    Entry probed(const std::string& name, const std::filesystem::path& path) const;
    Result<void> look_at(Entry& out, const std::filesystem::path& path) const;
    Result<void> look_at_disk(Entry& out) const;
    static Result<ports::Content> kernel(const std::filesystem::path& folder);
    [[nodiscard]] ports::Dropped shown(const Entry& entry) const;

    [[nodiscard]] std::filesystem::path seen_file() const;
    void save() const;

    const Settings& settings_;
    const Vault& vault_;
    std::mutex mutex_;
    std::map<Mark, std::string> seen_;  // SHA-256 of files that have not changed since
    std::map<std::string, Entry> entries_;
};

}  // namespace vmm::images
