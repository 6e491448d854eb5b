#pragma once

#include "vmm/app/accounts.h"
#include "vmm/app/teams.h"
#include "vmm/app/world.h"
#include "vmm/domain/account.h"

#include <optional>

namespace vmm::app {

// What accounts have, and may have. Used on the application's executor.
class Quotas {
public:
    Quotas(World& world, const Accounts& accounts, const Teams& teams);

    // The account whose quota this owner's machines count against.
    [[nodiscard]] domain::Address charged(const domain::Owner& owner) const;

    // Everything that counts against the account. Asks the file system for every disk.
    [[nodiscard]] domain::Usage usage(const domain::Address& account) const;

    [[nodiscard]] domain::Quotas allowed(const domain::Address& account) const;

    // conflict "quota-exceeded".
    [[nodiscard]] Result<void> check(const domain::Owner& owner, const domain::Usage& wanted) const;

    // Bytes on disk that the owner may still take; nothing when there is no limit.
    [[nodiscard]] std::optional<std::uint64_t> disk_left(const domain::Owner& owner) const;

private:
    [[nodiscard]] domain::Usage counted(const domain::Address& account, bool with_disks) const;

    World& world_;
    const Accounts& accounts_;
    const Teams& teams_;
};

}  // namespace vmm::app
