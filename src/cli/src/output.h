#pragma once

#include "vmm/json/value.h"

#include <string>
#include <vector>

#include "settings.h"

namespace vmm::cli {

// Rows under headings, each column as wide as it must be.
void print_table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows);

// The value as indented JSON.
void print_json(const json::Value& value);

// A member as people read it: text as it is, null as "-", lists and objects in one line.
std::string shown(const json::Value& object, std::string_view member);

// Lists of machines and operations, or one of them with all its members.
void print_vms(const Settings& settings, const json::Value& answer);
void print_operations(const Settings& settings, const json::Value& answer);
// The list in this member of the answer, with these members of each as columns.
void print_list(
    const Settings& settings,
    const json::Value& answer,
    std::string_view list,
    const std::vector<std::string>& members
);
void print_object(const Settings& settings, const json::Value& object);

// To standard error: what went wrong, its field and the server's hint.
void print_error(const Error& error);

// 1 failed, 3 not found, 4 not allowed, 5 conflict, 6 service unreachable or unavailable, 7 timed out.
int exit_code(const Error& error);

}  // namespace vmm::cli
