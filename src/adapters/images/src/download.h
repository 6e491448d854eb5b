#pragma once

#include "vmm/fetch/stream.h"
#include "vmm/images/store.h"

#include "importer.h"
#include "vault.h"

namespace vmm::images {

// Images on their way in from another host. See ports::ImageStore::download. Runs where blocking is allowed.
class Fetching {
public:
    Fetching(const Settings& settings, const Vault& vault, const Importer& importer)
        : settings_{settings}, vault_{vault}, importer_{importer} {}

    // Into `folder`/source; tries again from where it broke off.
    Task<std::string> fetch(
        std::filesystem::path folder,
        ports::Remote from,
        std::uint64_t most_bytes,
        ProgressView progress
    ) const;

private:
    struct Way;
    Task<std::string> attempt(const Way& way) const;
    Task<std::string> whole(const Way& way, std::unique_ptr<fetch::Download> answer, std::string start) const;
    Task<void> by_chunks(const Way& way, std::unique_ptr<fetch::Download> answer, std::string start) const;
    [[nodiscard]] fetch::Rules rules() const;

    const Settings& settings_;
    const Vault& vault_;
    const Importer& importer_;
};

}  // namespace vmm::images
