#include "keys.h"

#include "vmm/base/text.h"

namespace vmm::app::keys {
namespace {

std::string joined(std::string_view prefix, std::string_view rest) {
    return std::string{prefix}.append(rest);
}

constexpr std::int64_t most_seq = 9'999'999'999'999'999;

std::string digits(std::int64_t seq) {
    const auto text = std::to_string(seq);
    return std::string(16 - text.size(), '0') + text;
}

}  // namespace

std::string vm(std::string_view id) {
    return joined(vms, id);
}

std::string operation(std::string_view id) {
    return joined(operations, id);
}

std::string image(std::string_view name) {
    return joined(images, name);
}

std::string volume(std::string_view id) {
    return joined(volumes, id);
}

std::string network(std::string_view name) {
    return joined(networks, name);
}

std::string ledger_record(std::int64_t seq) {
    return joined(ledger, digits(seq));
}

std::string ledger_of(std::string_view address) {
    return joined(ledger_by, address).append("/");
}

// Counted down, as the store lists upwards.
std::string ledger_entry(std::string_view address, std::int64_t seq) {
    return ledger_of(address).append(digits(most_seq - seq));
}

std::int64_t ledger_seq(std::string_view entry_key) {
    const auto counted = parse_number<std::int64_t>(entry_key.substr(entry_key.rfind('/') + 1));
    return most_seq - counted.value_or(most_seq);
}

std::string session(std::string_view token_hash) {
    return joined(sessions, token_hash);
}

std::string revocation(std::string_view id) {
    return joined(revoked, id);
}

std::string account(const domain::Address& address) {
    return joined(accounts, address.text());
}

std::string team(std::string_view id) {
    return joined(teams, id);
}

std::string member(std::string_view team, const domain::Address& address) {
    return joined(members, team).append("/").append(address.text());
}

std::string vm_name(const domain::Owner& owner, std::string_view name) {
    return joined(names, owner.text()).append("/").append(name);
}

}  // namespace vmm::app::keys
