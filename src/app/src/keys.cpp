#include "keys.h"

namespace vmm::app::keys {
namespace {

std::string joined(std::string_view prefix, std::string_view rest) {
    return std::string{prefix}.append(rest);
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
