#pragma once

#include "vmm/base/task.h"

#include <string>

namespace vmm::ports {

// The mesh that connects machines of many hosts, where there is one. Used on the application's executor.
class Mesh {
public:
    virtual ~Mesh() = default;

    // Asks for a place for the machine; the invitation is for its guest, as the mesh gave it. Empty where
    // there is no mesh. unavailable "formnet-unreachable", "formnet-refused".
    virtual Task<std::string> invite(std::string vm) = 0;

    // Tells the mesh that the machine is gone; nothing where there is none. May be said again. unavailable
    // "formnet-unreachable", "formnet-refused".
    virtual Task<void> withdraw(std::string vm) = 0;
};

}  // namespace vmm::ports
