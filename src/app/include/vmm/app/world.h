#pragma once

#include "vmm/app/journal.h"
#include "vmm/app/operations.h"
#include "vmm/app/permissions.h"
#include "vmm/app/registry.h"
#include "vmm/app/settings.h"
#include "vmm/base/group.h"
#include "vmm/base/slots.h"
#include "vmm/ports/disks.h"
#include "vmm/ports/host.h"
#include "vmm/ports/hypervisor.h"
#include "vmm/ports/images.h"
#include "vmm/ports/mesh.h"
#include "vmm/ports/seeds.h"
#include "vmm/ports/signatures.h"
#include "vmm/ports/state_store.h"

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>

namespace vmm::app {

class Networks;

// The answer that an ended operation gives to whoever asked for it.
struct Answer {
    int status = 0;
    std::string body;
    std::string etag;
};

// What every machine works with. Outlives them all; everything in it is used on the application's executor,
// but for the registry.
struct World {
    World(
        const Settings& what,
        ports::StateStore& state,
        ports::Hypervisor& runs,
        ports::ImageStore& boots,
        ports::DiskStore& writes,
        const ports::Host& below,
        const ports::Signatures& proofs,
        const ports::Seeds& tells,
        ports::Mesh& beyond,
        const Permissions& rules,
        Registry& known,
        Operations& book,
        Group& group,
        Slots& places
    )
        : settings{what},
          store{state},
          hypervisor{runs},
          images{boots},
          disks{writes},
          host{below},
          signatures{proofs},
          seeds{tells},
          mesh{beyond},
          permissions{rules},
          registry{known},
          operations{book},
          jobs{group},
          starts{places} {}

    const Settings& settings;
    ports::StateStore& store;
    ports::Hypervisor& hypervisor;
    ports::ImageStore& images;
    ports::DiskStore& disks;
    const ports::Host& host;
    const ports::Signatures& signatures;
    const ports::Seeds& seeds;
    ports::Mesh& mesh;
    const Permissions& permissions;
    Registry& registry;
    Operations& operations;
    Group& jobs;
    Slots& starts;
    // Renders the answer of an ended operation; the machine is null when it is gone.
    std::function<Answer(const domain::Operation&, const domain::Vm*)> render;
    // MiB promised to all machines but this one, those that are only about to start included. Set by the
    // Fleet.
    std::function<std::uint64_t(const std::string& but)> memory_given;
    // Machines by the hash of their boot token.
    std::unordered_map<std::string, std::string> boot_tokens;
    // Volumes that are attached to no machine.
    std::map<std::string, domain::Volume> volumes;
    bool stopping = false;  // jobs that only watch end
    Journal journal;
    Networks* networks = nullptr;  // set by Networks
    // What an image of this name boots; set by Images. A caller that may not see it is told that there is
    // none; without one the service asks for itself.
    std::function<Result<ports::Image>(const domain::Caller* caller, const std::string& name)> bootable;
    // Calls for each machine of this node, those that are about to be made included; set by the Fleet.
    std::function<void(const std::function<void(const domain::Vm&)>&)> each_machine;
    // Copies a machine's root disk, as it is now, into a new overlay at this place; set by the Fleet.
    std::function<Task<void>(std::string vm, std::filesystem::path overlay)> copy_root;
    // An account's images, and the bytes that they take; set by Images.
    std::function<domain::Usage(const domain::Address& owner)> images_held;
    // Whether the owner may have so much more, and how much of the disk; set by Quotas.
    std::function<Result<void>(const domain::Owner& owner, const domain::Usage& wanted)> check_quota;
    std::function<std::optional<std::uint64_t>(const domain::Owner& owner)> disk_left;
    // The account that answers for this owner; set by Quotas.
    std::function<domain::Address(const domain::Owner& owner)> charged;
};

}  // namespace vmm::app
