#pragma once

#include "vmm/crypto/signatures.h"

#include <string>
#include <vector>

#include "settings.h"

namespace vmm::cli {

// A key in ~/.config/vmm/keys: NAME.json (encrypted) or NAME.key (plain, by explicit wish only).
struct StoredKey {
    std::string name;
    std::string address;
    bool plain = false;
    std::filesystem::path file;
};

std::vector<StoredKey> stored_keys();

// conflict when the name is taken, invalid for a bad name.
Result<StoredKey>
store_key(const std::string& name, const crypto::Signer& signer, bool plain, const std::string& password);

// The key that the settings name; asks for a password when it needs one.
Result<crypto::Signer> load_key(const Settings& settings);

// A key from a file of either kind, or from text. Asks for a password when it needs one.
Result<crypto::Signer> read_key(std::string_view content, const Settings& settings);

// From --password-file, VMM_KEY_PASSWORD, or the terminal (twice when it is new).
enum class Purpose : std::uint8_t { existing, fresh };
Result<std::string> password(const Settings& settings, Purpose purpose);

}  // namespace vmm::cli
