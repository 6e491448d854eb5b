#pragma once

#include "vmm/domain/owner.h"

#include <cstdint>
#include <string>
#include <string_view>

// Where each kind of record stands in the state store.
namespace vmm::app::keys {

inline constexpr std::string_view vms = "/vms/";
inline constexpr std::string_view operations = "/operations/";
inline constexpr std::string_view accounts = "/accounts/";
inline constexpr std::string_view nonces = "/nonces/";
inline constexpr std::string_view idempotency = "/idempotency/";
inline constexpr std::string_view names = "/names/";
inline constexpr std::string_view images = "/images/";
inline constexpr std::string_view teams = "/teams/";
inline constexpr std::string_view members = "/members/";
inline constexpr std::string_view sessions = "/sessions/";
inline constexpr std::string_view revoked = "/revoked/";
inline constexpr std::string_view ledger = "/ledger/";
inline constexpr std::string_view ledger_open = "/ledger-open/";  // begun, not sealed yet
inline constexpr std::string_view ledger_by = "/ledger-by/";      // each address' records, newest first
inline constexpr std::string_view ledger_head = "/ledger-head";
inline constexpr std::string_view ledger_base = "/ledger-base";
inline constexpr std::string_view volumes = "/volumes/";
inline constexpr std::string_view networks = "/networks/";

std::string vm(std::string_view id);
std::string operation(std::string_view id);
std::string image(std::string_view name);
std::string volume(std::string_view id);
std::string network(std::string_view name);
std::string team(std::string_view id);
std::string member(std::string_view team, const domain::Address& address);
std::string ledger_record(std::int64_t seq);
std::string ledger_of(std::string_view address);
std::string ledger_entry(std::string_view address, std::int64_t seq);
std::int64_t ledger_seq(std::string_view entry_key);
std::string session(std::string_view token_hash);
std::string revocation(std::string_view id);
std::string account(const domain::Address& address);
// An owner's machine name: what makes names unique per owner.
std::string vm_name(const domain::Owner& owner, std::string_view name);

}  // namespace vmm::app::keys
