#pragma once

#include "vmm/base/error.h"
#include "vmm/json/value.h"

#include <string>
#include <string_view>

// A small agent that speaks the QEMU guest agent's protocol: one JSON object a line, commands by name.
namespace vmm::guest_agent {

// The answer to one line, with its line break.
std::string answer(std::string_view line);

// A command's outcome as JSON text, or why not.
using Outcome = Result<std::string>;

Outcome open_file(const json::Value& arguments);
Outcome read_file(const json::Value& arguments);
Outcome write_file(const json::Value& arguments);
Outcome close_file(const json::Value& arguments);
Outcome add_ssh_keys(const json::Value& arguments);

Outcome exec(const json::Value& arguments);
Outcome exec_status(const json::Value& arguments);
Outcome shut_down();

// Reading of arguments.
Result<std::string> text_in(const json::Value& arguments, std::string_view name);
Result<std::int64_t> number_in(const json::Value& arguments, std::string_view name);

}  // namespace vmm::guest_agent
