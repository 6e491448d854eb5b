#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

// The walls around a program that reads untrusted images: a root of its own with the system's programs, the
// named inputs (both read-only) and one folder to write in; no network, no other processes to signal, an
// unprivileged user, limits on processor time, memory and file size, and a short list of system calls. Each
// function ends the process, with a line on standard error, when it cannot do its part: nothing ever runs
// with a wall missing.
namespace vmm::jail {

struct Input {
    std::string outside;
    std::string inside;  // a name below /in
};

struct Cell {
    uid_t user = 0;
    std::string folder;  // outside; /out inside
    std::vector<Input> inputs;
    std::uint64_t file_bytes = 0;
    std::uint64_t memory_bytes = 0;
    std::uint64_t cpu_s = 0;
    pid_t parent = 0;  // with whom it ends; 0: whoever started it
};

void build_root(const Cell& cell);
void set_limits(const Cell& cell);

// Becomes the cell's user. What is left of root's powers is the right to read inputs whatever their mode,
// which reaches no further than the root that was built.
void drop_privileges(const Cell& cell);

void close_system_calls();

[[noreturn]] void die(const char* what);

}  // namespace vmm::jail
