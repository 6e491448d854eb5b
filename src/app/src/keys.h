#pragma once

#include "vmm/domain/owner.h"

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
inline constexpr std::string_view volumes = "/volumes/";

std::string vm(std::string_view id);
std::string operation(std::string_view id);
std::string image(std::string_view name);
std::string volume(std::string_view id);
std::string team(std::string_view id);
std::string member(std::string_view team, const domain::Address& address);
std::string account(const domain::Address& address);
// An owner's machine name: what makes names unique per owner.
std::string vm_name(const domain::Owner& owner, std::string_view name);

}  // namespace vmm::app::keys
