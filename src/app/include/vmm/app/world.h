#pragma once

#include "vmm/app/operations.h"
#include "vmm/app/registry.h"
#include "vmm/app/settings.h"
#include "vmm/base/group.h"
#include "vmm/base/slots.h"
#include "vmm/ports/host.h"
#include "vmm/ports/hypervisor.h"
#include "vmm/ports/images.h"
#include "vmm/ports/signatures.h"
#include "vmm/ports/state_store.h"

#include <functional>
#include <string>
#include <unordered_map>

namespace vmm::app {

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
        const ports::Host& below,
        const ports::Signatures& proofs,
        Registry& known,
        Operations& book,
        Group& group,
        Slots& places
    )
        : settings{what},
          store{state},
          hypervisor{runs},
          images{boots},
          host{below},
          signatures{proofs},
          registry{known},
          operations{book},
          jobs{group},
          starts{places} {}

    const Settings& settings;
    ports::StateStore& store;
    ports::Hypervisor& hypervisor;
    ports::ImageStore& images;
    const ports::Host& host;
    const ports::Signatures& signatures;
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
};

}  // namespace vmm::app
