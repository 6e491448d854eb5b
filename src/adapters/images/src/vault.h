#pragma once

#include "vmm/images/store.h"

#include <map>
#include <mutex>
#include <string>

namespace vmm::images {

// Where brought images lie: `contents/ID/` for each content, made whole under another name and then renamed,
// and `incoming/ID/` for what is on its way. Thread-safe.
class Vault {
public:
    explicit Vault(const Settings& settings);

    // Makes the folders and reads what is there. Contents that were not finished are removed.
    Result<void> load();

    [[nodiscard]] std::optional<ports::Content> find(const std::string& id) const;
    [[nodiscard]] std::optional<ports::Content> find_sha256(const std::string& sha256) const;
    [[nodiscard]] std::vector<ports::Content> all() const;
    [[nodiscard]] std::vector<std::string> incoming() const;

    // incoming/ID, made when it is not there.
    Result<std::filesystem::path> place(const std::string& id) const;

    [[nodiscard]] std::filesystem::path place_of(const std::string& id) const { return incoming_ / id; }

    // Makes content of a folder whose files have the names that boots() gives them. Durable on return. When
    // another has brought the same meanwhile, that one stays.
    Result<ports::Content> keep(const std::filesystem::path& made, ports::Content content);

    Result<void> remove(const std::string& id);
    Result<void> discard(const std::string& id) const;

    [[nodiscard]] std::filesystem::path folder_of(const std::string& content) const {
        return contents_ / content;
    }

    // How the publisher of a .form stands.
    [[nodiscard]] domain::Trust trust(const domain::ImageFacts& facts) const;

private:
    Result<ports::Content> read(const std::string& id) const;
    void locate(ports::Content& content) const;

    const Settings& settings_;
    std::filesystem::path contents_;
    std::filesystem::path incoming_;
    mutable std::mutex mutex_;
    std::map<std::string, ports::Content> known_;
};

// Bytes that everything below a folder takes.
std::uint64_t real_bytes_below(const std::filesystem::path& folder);

}  // namespace vmm::images
