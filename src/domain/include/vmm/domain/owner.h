#pragma once

#include "vmm/domain/address.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace vmm::domain {

// Whom a machine or a volume belongs to: one account, or a team.
class Owner {
public:
    Owner() = default;

    Owner(const Address& account) : account_{account} {}  // NOLINT(google-explicit-constructor)

    static Owner of_team(std::string id) {
        Owner owner;
        owner.team_ = std::move(id);
        return owner;
    }

    // From the spelling that text() gave earlier.
    static std::optional<Owner> from_stored(std::string_view text);

    // The team's id; empty when an account owns.
    [[nodiscard]] const std::string& team() const { return team_; }

    // Nothing when a team owns.
    [[nodiscard]] std::optional<Address> account() const {
        return team_.empty() ? std::optional{account_} : std::nullopt;
    }

    [[nodiscard]] bool is(const Address& address) const { return team_.empty() && account_ == address; }

    // The address, or the team's id.
    [[nodiscard]] std::string_view text() const { return team_.empty() ? account_.text() : team_; }

    bool operator==(const Owner& other) const = default;
    auto operator<=>(const Owner& other) const = default;

private:
    Address account_;
    std::string team_;
};

}  // namespace vmm::domain
