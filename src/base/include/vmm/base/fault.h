#pragma once

#include <string_view>

namespace vmm {

// A named place where a test can have the process die as by kill -9: set VMM_FAULT_POINT to the name. Costs
// one comparison with an empty string otherwise. The names are listed in docs/crash-safety.md.
void fault_point(std::string_view name);

}  // namespace vmm
