#pragma once

#include "vmm/app/accounts.h"
#include "vmm/app/fleet.h"
#include "vmm/app/guests.h"
#include "vmm/app/health.h"
#include "vmm/app/images.h"
#include "vmm/app/ledger.h"
#include "vmm/app/networks.h"
#include "vmm/app/permissions.h"
#include "vmm/app/quotas.h"
#include "vmm/app/replay.h"
#include "vmm/app/revocations.h"
#include "vmm/app/sessions.h"
#include "vmm/app/teams.h"
#include "vmm/app/world.h"

namespace vmm::app {

// What the application asks of the world outside.
struct Ports {
    ports::StateStore& store;
    ports::Hypervisor& hypervisor;
    ports::ImageStore& images;
    ports::DiskStore& disks;
    const ports::Host& host;
    const ports::Signatures& signatures;
    ports::HostNetwork& network;
    const ports::Seeds& seeds;
    ports::Mesh& mesh;
};

// The whole application, its parts made in the order in which they need each other. Settings, ports and
// executor outlive it.
class Application {
public:
    Application(
        const Settings& settings,
        const Ports& outside,
        asio::any_io_executor executor,
        Registry::Present present = {}
    )
        : registry{std::move(present)},
          jobs{executor},
          starts{settings.concurrent_vm_starts},
          operations{outside.store},
          teams{outside.store},
          accounts{settings, outside.store, registry, teams},
          permissions{accounts, teams},
          sessions{settings, outside.store, outside.signatures},
          revocations{outside.store, permissions},
          replay{outside.store},
          ledger{settings, outside.store, outside.signatures, jobs},
          world{
              settings,
              outside.store,
              outside.hypervisor,
              outside.images,
              outside.disks,
              outside.host,
              outside.signatures,
              outside.seeds,
              outside.mesh,
              permissions,
              registry,
              operations,
              jobs,
              starts
          },
          quotas{world, accounts, teams},
          networks{world, outside.network},
          images{world},
          fleet{world, accounts, teams},
          guests{world, fleet},
          health{world} {}

    // Reads what is stored and takes up what was interrupted. Before the first request.
    Task<void> load();

    // Forgets what has had its time. Called every so often.
    asio::awaitable<void> keep_house();

    Registry registry;
    Group jobs;
    Slots starts;
    Operations operations;
    Teams teams;
    Accounts accounts;
    Permissions permissions;
    Sessions sessions;
    Revocations revocations;
    Replay replay;
    Ledger ledger;
    World world;
    Quotas quotas;
    Networks networks;
    Images images;
    Fleet fleet;
    Guests guests;
    Health health;
};

}  // namespace vmm::app
