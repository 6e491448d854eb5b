#pragma once

#include "vmm/ports/state_store.h"

#include <filesystem>
#include <memory>

namespace vmm::sqlite {

// The embedded engine: one SQLite file in WAL mode with full synchronisation, written by one thread that
// commits everything that has gathered while it was busy at once. Opening fails with unavailable: the file
// cannot be opened, is no database, is damaged, was written by a newer version, or is held by another
// process.
Result<std::unique_ptr<ports::StateStore>> open(const std::filesystem::path& file);

}  // namespace vmm::sqlite
