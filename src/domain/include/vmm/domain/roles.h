#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>

namespace vmm::domain {

// The product's permission levels, weakest first.
enum class Role : std::uint8_t { none, read_only, op, manager, owner };

// What one can want to do with a machine.
enum class Action : std::uint8_t {
    view,       // see it
    operate,    // start, stop, restart, pause, resume
    configure,  // change what it is, copy it
    own,        // delete it
    share,      // give others a role, or the machine itself
};

// The weakest role that may do this.
constexpr Role role_for(Action action) {
    switch (action) {
        case Action::view: return Role::read_only;
        case Action::operate: return Role::op;
        case Action::configure: return Role::manager;
        case Action::own:
        case Action::share: return Role::owner;
    }
    return Role::owner;
}

// A set of actions.
class Actions {
public:
    constexpr Actions() = default;

    constexpr Actions(std::initializer_list<Action> actions) {
        for (const auto action : actions) {
            add(action);
        }
    }

    constexpr void add(Action action) { bits_ = static_cast<std::uint8_t>(bits_ | bit(action)); }

    [[nodiscard]] constexpr bool has(Action action) const { return (bits_ & bit(action)) != 0; }

    [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }

    [[nodiscard]] constexpr bool within(Actions other) const { return (bits_ & ~other.bits_) == 0; }

private:
    static constexpr std::uint8_t bit(Action action) {
        return static_cast<std::uint8_t>(1U << static_cast<unsigned>(action));
    }

    std::uint8_t bits_ = 0;
};

std::string_view name(Role role);
std::string_view name(Action action);

// By the names above; never none.
std::optional<Role> role_named(std::string_view text);
std::optional<Action> action_named(std::string_view text);

}  // namespace vmm::domain
