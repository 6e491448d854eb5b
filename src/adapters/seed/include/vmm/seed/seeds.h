#pragma once

#include "vmm/ports/seeds.h"

#include <memory>

namespace vmm::seed {

// cloud-init's NoCloud data source and what a Formfile orders, by libyaml, libarchive and libcrypt.
std::unique_ptr<ports::Seeds> create_seeds();

}  // namespace vmm::seed
