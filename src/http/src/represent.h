#pragma once

#include "vmm/app/accounts.h"
#include "vmm/app/health.h"
#include "vmm/app/images.h"
#include "vmm/app/networks.h"
#include "vmm/domain/account.h"
#include "vmm/domain/operation.h"
#include "vmm/domain/team.h"
#include "vmm/domain/vm.h"
#include "vmm/proofs/capability.h"
#include "vmm/wire/auth.h"
#include "vmm/wire/messages.h"
#include "vmm/wire/people.h"

#include <string>

// Domain values as clients see them.
namespace vmm::http {

wire::Vm represent(const domain::Vm& vm);
wire::Operation represent(const domain::Operation& operation);
wire::Problem represent(const Error& error, const std::string& request_id);
wire::Image represent(const app::ImageView& view);
wire::Disk represent(const domain::Volume& volume);
// All disks of a machine, the root disk first.
std::vector<wire::Disk> disks_of(const domain::Vm& vm);
wire::Network represent(const app::NetworkView& view, const std::string& default_network);
wire::Interface represent(const domain::Interface& interface);
wire::Firewall represent(const domain::Firewall& firewall);
wire::PublishedPort represent(const domain::PublishedPort& port);
// Where a machine is to be attached; `field` is the path of what was said, with its dot. invalid.
Result<app::InterfaceWish> wish_of(const std::string& field, const wire::InterfaceWish& said);
wire::Account represent(const domain::Account& account);
wire::Quotas represent(const domain::Quotas& quotas);
wire::Collaborator represent(const domain::Grant& grant);
wire::Transfer transfer_of(const domain::Vm& vm);
wire::CapabilityShown represent(const proofs::Capability& capability);
wire::Member represent(const domain::Member& member);
wire::Team represent(const domain::Team& team);

}  // namespace vmm::http
