#pragma once

#include <boost/describe.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// What travels in bodies about signing in and about capabilities.
namespace vmm::wire {

// What a page needs to make a sign-in message (EIP-4361).
struct Nonce {
    std::string nonce;
    std::string expires_at;
    std::vector<std::string> domains;  // that the message may be for
    std::int64_t chain_id = 1;
};
BOOST_DESCRIBE_STRUCT(Nonce, (), (nonce, expires_at, domains, chain_id))

struct Login {
    std::string message;
    std::string signature;       // 65 bytes in hex
    std::optional<bool> cookie;  // the token comes as a cookie that scripts cannot read
    static constexpr std::array required{"message", "signature"};
};
BOOST_DESCRIBE_STRUCT(Login, (), (message, signature, cookie))

struct LoggedIn {
    std::optional<std::string> token;  // absent when it came as a cookie
    std::string session;
    std::string address;
    std::string expires_at;
};
BOOST_DESCRIBE_STRUCT(LoggedIn, (), (token, session, address, expires_at))

struct Session {
    std::string id;
    std::string created_at;
    std::string expires_at;
    std::string peer;
    std::string agent;
    bool current = false;
};
BOOST_DESCRIBE_STRUCT(Session, (), (id, created_at, expires_at, peer, agent, current))

struct SessionList {
    std::vector<Session> sessions;
};
BOOST_DESCRIBE_STRUCT(SessionList, (), (sessions))

struct CapabilityShown {
    std::string vm;
    std::vector<std::string> actions;
    std::string given_by;
    std::string holder;
    std::string expires_at;
    std::vector<std::string> ids;  // of its links
};
BOOST_DESCRIBE_STRUCT(CapabilityShown, (), (vm, actions, given_by, holder, expires_at, ids))

struct Whoami {
    std::string address;
    std::string name;
    bool administrator = false;
    std::string auth;  // signature or session
    std::optional<Session> session;
    std::optional<CapabilityShown> capability;
    std::vector<std::string> teams;
};
BOOST_DESCRIBE_STRUCT(Whoami, (), (address, name, administrator, auth, session, capability, teams))

struct RevokeCapability {
    std::string capability;
    static constexpr std::array required{"capability"};
};
BOOST_DESCRIBE_STRUCT(RevokeCapability, (), (capability))

struct Revocation {
    std::string id;
    std::string vm;
    std::string by;
    std::string at;
};
BOOST_DESCRIBE_STRUCT(Revocation, (), (id, vm, by, at))

struct RevocationList {
    std::vector<Revocation> revocations;
};
BOOST_DESCRIBE_STRUCT(RevocationList, (), (revocations))

}  // namespace vmm::wire
