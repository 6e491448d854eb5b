#include "vmm/app/quotas.h"

namespace vmm::app {

Quotas::Quotas(World& world, const Accounts& accounts, const Teams& teams)
    : world_{world}, accounts_{accounts}, teams_{teams} {
    world_.check_quota = [this](const domain::Owner& owner, const domain::Usage& wanted) {
        return check(owner, wanted);
    };
    world_.charged = [this](const domain::Owner& owner) { return charged(owner); };
    world_.disk_left = [this](const domain::Owner& owner) { return disk_left(owner); };
}

domain::Address Quotas::charged(const domain::Owner& owner) const {
    if (const auto account = owner.account()) {
        return *account;
    }
    const auto team = teams_.find(owner.team());
    return team ? team->charged : domain::Address{};
}

domain::Quotas Quotas::allowed(const domain::Address& account) const {
    const auto known = accounts_.find(account);
    return known ? known->quotas.over(world_.settings.quotas) : world_.settings.quotas;
}

domain::Usage Quotas::usage(const domain::Address& account) const {
    return counted(account, true);
}

domain::Usage Quotas::counted(const domain::Address& account, bool with_disks) const {
    domain::Usage used;
    if (world_.images_held) {
        used = world_.images_held(account);
    }
    world_.each_machine([&](const domain::Vm& vm) {
        if (charged(vm.owner) != account) {
            return;
        }
        ++used.machines;
        used.vcpus += vm.vcpus;
        used.memory_mib += vm.memory_mib;
        if (with_disks) {
            used.disk_bytes += world_.disks.real_bytes(vm.id);
            for (const auto& volume : vm.volumes) {
                used.disk_bytes += world_.disks.real_bytes(volume.id);
            }
        }
    });
    for (const auto& [id, volume] : world_.volumes) {
        if (with_disks && charged(volume.owner) == account) {
            used.disk_bytes += world_.disks.real_bytes(id);
        }
    }
    return used;
}

// Disks are looked at only where their quota is asked for.
Result<void> Quotas::check(const domain::Owner& owner, const domain::Usage& wanted) const {
    const auto account = charged(owner);
    const auto most = allowed(account);
    if (most == domain::Quotas{}) {
        return {};
    }
    return domain::check_quotas(counted(account, most.disk_bytes > 0 && wanted.disk_bytes > 0), wanted, most);
}

std::optional<std::uint64_t> Quotas::disk_left(const domain::Owner& owner) const {
    const auto account = charged(owner);
    const auto most = allowed(account).disk_bytes;
    if (most == 0) {
        return std::nullopt;
    }
    const auto used = counted(account, true).disk_bytes;
    return most - std::min(most, used);
}

}  // namespace vmm::app
