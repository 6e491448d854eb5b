#pragma once

#include "vmm/ports/mesh.h"

#include <memory>
#include <string>

namespace vmm::formnet {

// The platform's mesh at this http://HOST:PORT; an empty one is no mesh.
std::unique_ptr<ports::Mesh> create_mesh(std::string endpoint);

}  // namespace vmm::formnet
