#pragma once

#include "vmm/base/task.h"

#include <string>
#include <string_view>

namespace vmm::cli {

bool on_terminal(int descriptor);

enum class Colour : std::uint8_t { none, red, green, yellow, dim };

// The text in colour, when standard output is a terminal and NO_COLOR is not set.
std::string painted(std::string_view text, Colour colour);

std::string ask_secretly(const char* prompt);

// Turns on standard error, when that is a terminal, until cancelled; begins after a moment.
asio::awaitable<void> spin(std::string what);

}  // namespace vmm::cli
