#pragma once

#include "vmm/base/error.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace vmm::domain {

enum class Status : std::uint8_t {
    creating,
    stopped,
    starting,
    running,
    pausing,
    paused,
    resuming,
    stopping,
    failed,
    deleting,
    deleted,  // never shown: the record is gone
};

enum class Event : std::uint8_t {
    created,
    start,
    booted,  // QEMU runs and takes commands
    pause,
    paused,
    resume,
    resumed,
    stop,
    restart,
    respawn,  // a restart's first half is done
    stopped,  // QEMU is gone, as asked or because the guest turned itself off
    remove,
    removed,
    broke,    // the job failed, or QEMU died
    refused,  // the job failed before anything had changed
    stalled,  // QEMU stopped the machine because a write failed
    went_on,  // and lets it run again
};

struct Transition {
    Status from;
    Event on;
    Status to;
};

// The whole life of a VM. A pair that is not here is refused with Code::conflict; the busy states are the
// lock that keeps two jobs off one VM.
inline constexpr std::array transitions{
    Transition{Status::creating, Event::created, Status::stopped},
    Transition{Status::creating, Event::start, Status::starting},
    Transition{Status::creating, Event::broke, Status::failed},
    Transition{Status::stopped, Event::start, Status::starting},
    Transition{Status::stopped, Event::remove, Status::deleting},
    Transition{Status::starting, Event::booted, Status::running},
    Transition{Status::starting, Event::stopped, Status::stopped},
    Transition{Status::starting, Event::broke, Status::failed},
    Transition{Status::running, Event::pause, Status::pausing},
    Transition{Status::running, Event::stop, Status::stopping},
    Transition{Status::running, Event::restart, Status::stopping},
    Transition{Status::running, Event::remove, Status::deleting},
    Transition{Status::running, Event::stopped, Status::stopped},
    Transition{Status::running, Event::broke, Status::failed},
    Transition{Status::running, Event::stalled, Status::paused},
    Transition{Status::pausing, Event::paused, Status::paused},
    Transition{Status::pausing, Event::refused, Status::running},
    Transition{Status::pausing, Event::stopped, Status::stopped},
    Transition{Status::pausing, Event::broke, Status::failed},
    Transition{Status::paused, Event::resume, Status::resuming},
    Transition{Status::paused, Event::stop, Status::stopping},
    Transition{Status::paused, Event::restart, Status::stopping},
    Transition{Status::paused, Event::remove, Status::deleting},
    Transition{Status::paused, Event::stopped, Status::stopped},
    Transition{Status::paused, Event::broke, Status::failed},
    Transition{Status::paused, Event::went_on, Status::running},
    Transition{Status::resuming, Event::resumed, Status::running},
    Transition{Status::resuming, Event::refused, Status::paused},
    Transition{Status::resuming, Event::stopped, Status::stopped},
    Transition{Status::resuming, Event::broke, Status::failed},
    Transition{Status::stopping, Event::stopped, Status::stopped},
    Transition{Status::stopping, Event::respawn, Status::starting},
    Transition{Status::stopping, Event::broke, Status::failed},
    Transition{Status::failed, Event::start, Status::starting},
    Transition{Status::failed, Event::remove, Status::deleting},
    Transition{Status::deleting, Event::removed, Status::deleted},
    Transition{Status::deleting, Event::broke, Status::failed},
};

constexpr std::optional<Status> next(Status from, Event on) {
    for (const auto& row : transitions) {
        if (row.from == from && row.on == on) {
            return row.to;
        }
    }
    return std::nullopt;
}

// A job holds the VM.
constexpr bool busy(Status s) {
    switch (s) {
        case Status::creating:
        case Status::starting:
        case Status::pausing:
        case Status::resuming:
        case Status::stopping:
        case Status::deleting: return true;
        case Status::stopped:
        case Status::running:
        case Status::paused:
        case Status::failed:
        case Status::deleted: return false;
    }
    return false;
}

// A QEMU process belongs to a VM in this state.
constexpr bool live(Status s) {
    switch (s) {
        case Status::running:
        case Status::pausing:
        case Status::paused:
        case Status::resuming: return true;
        default: return false;
    }
}

// Facts about the table that must stay true; the compiler is the test.
constexpr bool deterministic() {
    for (std::size_t i = 0; i < transitions.size(); ++i) {
        for (std::size_t j = i + 1; j < transitions.size(); ++j) {
            if (transitions[i].from == transitions[j].from && transitions[i].on == transitions[j].on) {
                return false;
            }
        }
    }
    return true;
}

constexpr bool every_busy_or_live_state_can_break() {
    for (const auto& row : transitions) {
        if ((busy(row.from) || live(row.from)) && next(row.from, Event::broke) != Status::failed) {
            return false;
        }
    }
    return true;
}

constexpr bool every_live_state_can_end_by_itself() {
    for (const auto& row : transitions) {
        if (live(row.from) && next(row.from, Event::stopped) != Status::stopped) {
            return false;
        }
    }
    return true;
}

static_assert(deterministic());
static_assert(every_busy_or_live_state_can_break());
static_assert(every_live_state_can_end_by_itself());
static_assert(!next(Status::deleted, Event::start));

std::string_view name(Status status);
std::string_view name(Event event);
std::optional<Status> status_named(std::string_view name);

// The next state, or why this event is refused now (conflict).
Result<Status> step(Status from, Event on);

}  // namespace vmm::domain
