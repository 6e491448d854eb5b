#pragma once

#include "vmm/form/format.h"
#include "vmm/images/store.h"

#include "probe.h"
#include "sandbox.h"
#include "vault.h"

namespace vmm::images {

// Makes stored content of what came in. Blocking; thread-safe.
class Importer {
public:
    Importer(const Settings& settings, Vault& vault, const ports::Signatures& signatures)
        : settings_{settings}, vault_{vault}, signatures_{signatures} {}

    // See ports::ImageStore::admit. The files are `folder`/source, or a vmdk set in `folder`/set with the
    // descriptor's name in `folder`/set.name.
    Result<ports::Content> admit(
        const std::filesystem::path& folder,
        std::string sha256,
        std::uint64_t most_bytes,
        const ProgressView& progress
    ) const;

    // A file that stays where it is, and is converted from there.
    Result<ports::Content> convert_in_place(
        const std::filesystem::path& folder,
        const std::filesystem::path& file,
        const std::string& sha256,
        const Found& found,
        std::uint64_t most_bytes,
        const ProgressView& progress
    ) const;

    // One disk of `folder`/disk.qcow2 and its base, and a .form of it when asked for: `folder`/source.
    Result<void> flatten(
        const std::filesystem::path& folder,
        const ports::Image& base,
        const domain::Image& described,
        std::uint64_t most_bytes,
        const ProgressView& progress
    ) const;

    // What a .form is, by its index; refuses untrusted ones where the configuration says so.
    Result<domain::ImageFacts> facts_of(const form::Index& index) const;

private:
    struct Job;
    Result<ports::Content> keep_disk(const Job& job, const Found& found) const;
    Result<ports::Content> convert(const Job& job, const Found& found, const Confined& reading) const;
    Result<ports::Content> from_archive(const Job& job, const Found& found) const;
    Result<ports::Content> from_form(const Job& job) const;

    const Settings& settings_;
    Vault& vault_;
    const ports::Signatures& signatures_;
};

}  // namespace vmm::images
