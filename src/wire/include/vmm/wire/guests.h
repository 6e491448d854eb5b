#pragma once

#include <boost/describe.hpp>

#include <array>
#include <cstdint>
#include <cstdio>  // stdin is a macro there, and this member's name all the same
#include <optional>
#include <string>
#include <vector>

// What is done inside guests, and what is known of them.
namespace vmm::wire {

struct Exec {
    std::vector<std::string> argv;
    std::optional<std::string> stdin;         // its standard input, as text
    std::optional<std::string> stdin_base64;  // or as bytes
    std::optional<std::int64_t> timeout_s;    // 60 unless told
    static constexpr std::array required{"argv"};
};
BOOST_DESCRIBE_STRUCT(Exec, (), (argv, stdin, stdin_base64, timeout_s))

// One line of the answer to it; the last has exit_status, signal or error.
struct ExecLine {
    std::optional<std::string> stream;  // stdout or stderr
    std::optional<std::string> data_base64;
    std::optional<int> exit_status;
    std::optional<int> signal;
    std::optional<bool> timed_out;
    std::optional<std::string> error;
    static constexpr bool omit_empty = true;
};
BOOST_DESCRIBE_STRUCT(ExecLine, (), (stream, data_base64, exit_status, signal, timed_out, error))

struct AddSshKeys {
    std::optional<std::string> user;  // root unless told
    std::vector<std::string> keys;
    static constexpr std::array required{"keys"};
};
BOOST_DESCRIBE_STRUCT(AddSshKeys, (), (user, keys))

struct GuestInterface {
    std::string name;
    std::string mac;
    std::vector<std::string> addresses;
};
BOOST_DESCRIBE_STRUCT(GuestInterface, (), (name, mac, addresses))

// What the agent in the guest says.
struct Guest {
    std::string os;
    std::string kernel;
    std::string hostname;
    std::vector<GuestInterface> interfaces;
};
BOOST_DESCRIBE_STRUCT(Guest, (), (os, kernel, hostname, interfaces))

struct Explanation {
    std::string status;
    std::optional<std::string> stage;
    std::optional<std::string> since;
    std::optional<std::string> waiting_for;
    std::optional<std::string> last_seen;
    std::optional<std::string> last_console_line;
    std::vector<std::string> advice;
    std::vector<std::string> problems;
    std::string agent;  // answers, silent or not asked
};
BOOST_DESCRIBE_STRUCT(
    Explanation,
    (),
    (status, stage, since, waiting_for, last_seen, last_console_line, advice, problems, agent)
)

}  // namespace vmm::wire
