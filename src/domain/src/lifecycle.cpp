#include "vmm/domain/lifecycle.h"

#include <string>

namespace vmm::domain {

std::string_view name(Status status) {
    switch (status) {
        case Status::creating: return "creating";
        case Status::stopped: return "stopped";
        case Status::starting: return "starting";
        case Status::running: return "running";
        case Status::pausing: return "pausing";
        case Status::paused: return "paused";
        case Status::resuming: return "resuming";
        case Status::stopping: return "stopping";
        case Status::failed: return "failed";
        case Status::deleting: return "deleting";
        case Status::deleted: return "deleted";
    }
    return "unknown";
}

std::string_view name(Event event) {
    switch (event) {
        case Event::created: return "created";
        case Event::start: return "start";
        case Event::booted: return "booted";
        case Event::pause: return "pause";
        case Event::paused: return "paused";
        case Event::resume: return "resume";
        case Event::resumed: return "resumed";
        case Event::stop: return "stop";
        case Event::restart: return "restart";
        case Event::respawn: return "respawn";
        case Event::stopped: return "stopped";
        case Event::remove: return "delete";
        case Event::removed: return "removed";
        case Event::broke: return "broke";
        case Event::refused: return "refused";
        case Event::stalled: return "stalled";
        case Event::went_on: return "went-on";
    }
    return "unknown";
}

std::optional<Status> status_named(std::string_view text) {
    for (int i = 0; i <= static_cast<int>(Status::deleted); ++i) {
        if (name(static_cast<Status>(i)) == text) {
            return static_cast<Status>(i);
        }
    }
    return std::nullopt;
}

Result<Status> step(Status from, Event on) {
    if (const auto to = next(from, on)) {
        return *to;
    }
    std::string why{"cannot "};
    why.append(name(on)).append(" a machine that is ").append(name(from));
    return fail(Code::conflict, std::move(why));
}

}  // namespace vmm::domain
