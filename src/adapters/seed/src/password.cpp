#include "vmm/base/ids.h"

#include <crypt.h>

#include "parts.h"

namespace vmm::seed {

Result<std::string> hash_password(const std::string& password) {
    if (password.empty() || password.starts_with("$6$") || password.starts_with("$y$")) {
        return password;
    }
    // Known since the original platform: 4096 rounds, a salt of 16 characters.
    const auto setting = "$6$rounds=4096$" + random_text(10).substr(0, 16);
    crypt_data data{};
    const char* hash = crypt_r(password.c_str(), setting.c_str(), &data);
    if (hash == nullptr || hash[0] == '*') {
        return invalid("formfile", "the password cannot be hashed");
    }
    return std::string{hash};
}

}  // namespace vmm::seed
