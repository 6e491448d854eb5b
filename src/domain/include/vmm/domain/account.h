#pragma once

#include "vmm/base/error.h"
#include "vmm/base/time.h"
#include "vmm/domain/address.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vmm::domain {

// A suspended account's owner is refused everything; its machines go on as they are.
enum class AccountStatus : std::uint8_t { active, suspended };

std::string_view name(AccountStatus status);
std::optional<AccountStatus> account_status_named(std::string_view text);

// How much an account, with the teams that it is charged for, may have at once. 0 is no limit.
struct Quotas {
    std::uint64_t machines = 0;
    std::uint64_t vcpus = 0;       // of all its machines, running or not
    std::uint64_t memory_mib = 0;  // likewise
    std::uint64_t disk_bytes = 0;  // that its images, disks and volumes really take
    std::uint64_t images = 0;
    std::uint64_t forks = 0;  // machines that were forked off another

    bool operator==(const Quotas&) const = default;
};

// The same shape, counted.
using Usage = Quotas;

// conflict "quota-exceeded" when `used` and `wanted` together are more than allowed, with the field of the
// first that is; only of what is wanted.
Result<void> check_quotas(const Usage& used, const Usage& wanted, const Quotas& allowed);

// A quota of an account that differs from the host's own for everybody.
struct QuotaWish {
    std::optional<std::uint64_t> machines;
    std::optional<std::uint64_t> vcpus;
    std::optional<std::uint64_t> memory_mib;
    std::optional<std::uint64_t> disk_bytes;
    std::optional<std::uint64_t> images;
    std::optional<std::uint64_t> forks;

    [[nodiscard]] Quotas over(const Quotas& defaults) const;
};

// A registered developer.
struct Account {
    Address address;
    std::string name;
    AccountStatus status = AccountStatus::active;
    bool administrator = false;  // made one by another administrator, not by the configuration
    QuotaWish quotas;
    Timestamp created_at;
    Timestamp updated_at;
    std::int64_t revision = 0;
};

}  // namespace vmm::domain
