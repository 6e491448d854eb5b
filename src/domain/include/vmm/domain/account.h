#pragma once

#include "vmm/base/time.h"
#include "vmm/domain/address.h"

#include <cstdint>
#include <string>

namespace vmm::domain {

// A registered developer.
struct Account {
    Address address;
    std::string name;
    Timestamp created_at;
    Timestamp updated_at;
    std::int64_t revision = 0;
};

}  // namespace vmm::domain
