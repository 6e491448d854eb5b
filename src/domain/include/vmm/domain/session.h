#pragma once

#include "vmm/base/time.h"
#include "vmm/domain/address.h"

#include <string>

namespace vmm::domain {

// Somebody who has signed in. Known by its token, of which only the hash is kept.
struct Session {
    std::string id;
    Address address;
    std::string token_hash;  // SHA-256 in hex
    std::string peer;        // the address that signed in
    std::string agent;       // the program, as it called itself
    Timestamp created_at;
    Timestamp expires_at;
};

// A link of a capability that is not good any more.
struct Revocation {
    std::string id;  // the link's digest in hex
    std::string vm;
    Address by;
    Timestamp at;
    Timestamp expires_at;  // with the link itself
};

}  // namespace vmm::domain
