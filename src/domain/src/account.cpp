#include "vmm/domain/account.h"

#include "vmm/base/text.h"
#include "vmm/domain/names.h"
#include "vmm/domain/team.h"

#include <array>

namespace vmm::domain {

std::string_view name(AccountStatus status) {
    return status == AccountStatus::suspended ? "suspended" : "active";
}

std::optional<AccountStatus> account_status_named(std::string_view text) {
    for (const auto status : {AccountStatus::active, AccountStatus::suspended}) {
        if (text == name(status)) {
            return status;
        }
    }
    return std::nullopt;
}

Result<void> check_quotas(const Usage& used, const Usage& wanted, const Quotas& allowed) {
    struct Kind {
        std::uint64_t Quotas::* amount;
        const char* field;
        const char* what;
        std::uint64_t unit;
    };

    static constexpr std::array kinds{
        Kind{&Quotas::machines, "machines", "machines", 1},
        Kind{&Quotas::vcpus, "vcpus", "vCPUs", 1},
        Kind{&Quotas::memory_mib, "memory_mib", "MiB of memory", 1},
        Kind{&Quotas::disk_bytes, "disk_bytes", "MiB on disk", 1 << 20},
        Kind{&Quotas::images, "images", "images", 1},
        Kind{&Quotas::forks, "forks", "forks", 1},
    };
    for (const auto& kind : kinds) {
        const auto more = wanted.*kind.amount;
        const auto most = allowed.*kind.amount;
        const auto has = used.*kind.amount;
        if (more == 0 || most == 0 || has + more <= most) {
            continue;
        }
        const auto amount = [&kind](std::uint64_t count) {
            return std::to_string((count + kind.unit - 1) / kind.unit);
        };
        return fail(Error{
            Code::conflict,
            "the account has " + amount(has) + " " + kind.what + " of at most " + amount(most) + ", and " +
                amount(more) + " more are wanted"
        }
                        .with_slug("quota-exceeded")
                        .with_field(kind.field)
                        .with_hint("delete what is not needed, or ask an administrator for a larger quota"));
    }
    return {};
}

Quotas QuotaWish::over(const Quotas& defaults) const {
    return {
        machines.value_or(defaults.machines),
        vcpus.value_or(defaults.vcpus),
        memory_mib.value_or(defaults.memory_mib),
        disk_bytes.value_or(defaults.disk_bytes),
        images.value_or(defaults.images),
        forks.value_or(defaults.forks),
    };
}

Result<void> check_team_name(std::string_view name) {
    if (name.empty()) {
        return invalid("name", "a team's name has 1 to 100 bytes");
    }
    return check_display_name(name);
}

}  // namespace vmm::domain
