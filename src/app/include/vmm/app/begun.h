#pragma once

#include "vmm/app/world.h"

#include <optional>
#include <string>

namespace vmm::app {

// A job that was begun, or, for an Idempotency-Key that was used before, the answer that it gave.
struct Begun {
    std::string operation;
    std::string vm;
    std::optional<Answer> first_answer;
    bool recalled = false;  // begun by an earlier request with this Idempotency-Key
};

}  // namespace vmm::app
