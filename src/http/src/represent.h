#pragma once

#include "vmm/app/accounts.h"
#include "vmm/app/health.h"
#include "vmm/app/images.h"
#include "vmm/domain/account.h"
#include "vmm/domain/operation.h"
#include "vmm/domain/vm.h"
#include "vmm/wire/messages.h"

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
wire::Account represent(const domain::Account& account, bool administrator, std::uint64_t machines);

}  // namespace vmm::http
