#pragma once

#include "vmm/base/task.h"
#include "vmm/ports/state_store.h"

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>

namespace vmm::daemon {

// Who this state store is, and which node this is: made once, kept in the store.
struct Identity {
    std::string store;  // 32 hex digits
    std::array<std::uint8_t, 20> node{};
    std::string secret;                  // that nonces are made with
    std::array<std::uint8_t, 32> key{};  // that the ledger's end is signed with
};

Task<Identity> load_identity(ports::StateStore& store);

// Marks a folder as belonging to this store. conflict when it belongs to another: its machines are not ours
// to remove.
Result<void> claim_folder(const std::filesystem::path& folder, const std::string& store);

}  // namespace vmm::daemon
