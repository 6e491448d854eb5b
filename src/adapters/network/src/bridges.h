#pragma once

#include "vmm/ports/network.h"

#include <string>

#include "links.h"

// Bridges and taps as a layout wants them.
namespace vmm::network {

// The address at which guests look for metadata; the host answers for it on every bridge of ours, and has it
// nowhere.
inline constexpr domain::Ip4 metadata_address{169U << 24 | 254U << 16 | 169U << 8 | 254U};

// What marks a bridge as ours: the service's mark, then the network's id.
std::string alias_of(const std::string& mark, const domain::Network& network);

// Makes the bridge with its addresses unless it is there. conflict "bridge-taken" when a device of this name
// is somebody else's.
Result<void> keep_bridge(Links& links, const std::string& mark, const domain::Network& network);

// Removes bridges of this service that no network of these has.
Result<void>
drop_bridges(Links& links, const std::string& mark, const std::vector<domain::Network>& networks);

// Puts a tap into its bridge, pins its addresses and limits it.
Result<void> join(Links& links, const ports::Plugged& plugged, const domain::Network& network);

// The bridge that a network's taps belong to.
const std::string& bridge_of(const domain::Network& network);

}  // namespace vmm::network
