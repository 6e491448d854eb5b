#pragma once

#include "vmm/base/task.h"
#include "vmm/domain/formfile.h"
#include "vmm/domain/vm.h"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace vmm::ports {

// An interface as its guest is told of it.
struct SeedInterface {
    SeedInterface() = default;
    domain::Interface interface;
    domain::Network network;
};

// What a guest is told of itself.
struct Seed {
    Seed() = default;
    std::string instance_id;
    std::string hostname;
    std::vector<std::string> ssh_keys;
    std::string user_data;  // the owner's
    domain::Formfile formfile;
    std::vector<SeedInterface> interfaces;
    std::string callback_url;       // where it reports; empty: nowhere
    std::string token;              // secret; on the medium alone
    std::string invitation;         // to the mesh, as the mesh gave it; or empty
    std::filesystem::path context;  // a tar archive that COPY takes from; or empty
};

// What cloud-init reads. Pure but for write(); thread-safe.
class Seeds {
public:
    virtual ~Seeds() = default;

    // A Formfile as text or as the platform's JSON; passwords come out hashed. invalid "formfile".
    [[nodiscard]] virtual Result<domain::Formfile> read_formfile(std::string_view text) const = 0;

    // The text with its passwords replaced by their hashes, for keeping.
    [[nodiscard]] virtual Result<std::string> without_passwords(std::string_view text) const = 0;

    // invalid "user_data" with line and column when it says that it is YAML and is not, or is too large.
    [[nodiscard]] virtual Result<void> check_user_data(std::string_view text) const = 0;

    // Checks a tar archive of plain files, folders and links below its top. invalid "context".
    [[nodiscard]] virtual Result<void> check_context(std::string_view archive) const = 0;

    [[nodiscard]] virtual std::string meta_data(const Seed& seed) const = 0;
    [[nodiscard]] virtual std::string user_data(const Seed& seed) const = 0;
    [[nodiscard]] virtual std::string network_config(const Seed& seed) const = 0;

    // Writes the medium: an ISO 9660 file system labelled cidata, readable by the service alone.
    [[nodiscard]] virtual Result<void> write(const Seed& seed, const std::filesystem::path& file) const = 0;
};

}  // namespace vmm::ports
