#pragma once

#include "vmm/base/error.h"
#include "vmm/base/time.h"
#include "vmm/domain/address.h"
#include "vmm/domain/roles.h"

#include <cstdint>
#include <string>

namespace vmm::domain {

// People who own machines together. Its members are stored beside it, each for itself.
struct Team {
    std::string id;
    std::string name;
    Address charged;  // the Owner whose quota the team's machines count against
    Timestamp created_at;
    Timestamp updated_at;
    std::int64_t revision = 0;
};

// One person's place in one team.
struct Member {
    std::string team;
    Address address;
    Role role = Role::read_only;
    Timestamp since;
};

inline constexpr std::size_t most_members = 10'000;
inline constexpr std::size_t most_teams = 100;  // that one account is charged for

// 1 to 100 bytes without control characters. invalid, field "name".
Result<void> check_team_name(std::string_view name);

}  // namespace vmm::domain
