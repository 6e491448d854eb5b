#pragma once

#include "vmm/domain/network.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// The few DNS messages (RFC 1035, RFC 7871) that names of machines need. Pure; reads untrusted bytes.
namespace vmm::network {

struct DnsQuestion {
    std::uint16_t id = 0;
    bool recursion_desired = false;
    std::string name;  // lower case, without the last dot
    std::uint16_t type = 0;
    std::string wire;                    // the question as it came
    std::optional<domain::Ip4> client;   // who asked whoever asks us, as a client subnet of /32
    std::optional<domain::Ip6> client6;  // the same of /128
};

inline constexpr std::uint16_t dns_a = 1;
inline constexpr std::uint16_t dns_ptr = 12;
inline constexpr std::uint16_t dns_aaaa = 28;

// Nothing for what is no query with one question.
std::optional<DnsQuestion> read_query(std::string_view message);

struct DnsAnswer {
    bool exists = false;  // the name does; otherwise NXDOMAIN
    std::string data;     // of the asked type; empty: none of it
};

// The answer, authoritative and good for a few seconds.
std::string write_answer(const DnsQuestion& question, const DnsAnswer& answer);

// A name as DNS writes it; labels longer than 63 are cut.
std::string dns_name(std::string_view name);

// The address that a name below in-addr.arpa stands for.
std::optional<domain::Ip4> reversed(std::string_view name);

}  // namespace vmm::network
