#include "vmm/domain/operation.h"

namespace vmm::domain {

std::string_view name(Job job) {
    switch (job) {
        case Job::create: return "create";
        case Job::clone: return "clone";
        case Job::start: return "start";
        case Job::stop: return "stop";
        case Job::restart: return "restart";
        case Job::pause: return "pause";
        case Job::resume: return "resume";
        case Job::remove: return "delete";
        case Job::attach: return "attach";
        case Job::detach: return "detach";
        case Job::grow: return "grow";
        case Job::import: return "import";
        case Job::publish: return "publish";
    }
    return "unknown";
}

std::string_view name(Progress progress) {
    switch (progress) {
        case Progress::pending: return "pending";
        case Progress::running: return "running";
        case Progress::succeeded: return "succeeded";
        case Progress::failed: return "failed";
        case Progress::cancelled: return "cancelled";
    }
    return "unknown";
}

std::optional<Job> job_named(std::string_view text) {
    for (int i = 0; i <= static_cast<int>(Job::publish); ++i) {
        if (name(static_cast<Job>(i)) == text) {
            return static_cast<Job>(i);
        }
    }
    return std::nullopt;
}

std::optional<Progress> progress_named(std::string_view text) {
    for (int i = 0; i <= static_cast<int>(Progress::cancelled); ++i) {
        if (name(static_cast<Progress>(i)) == text) {
            return static_cast<Progress>(i);
        }
    }
    return std::nullopt;
}

Event beginning(Job job) {
    switch (job) {
        case Job::create:
        case Job::clone:
        case Job::start: return Event::start;
        case Job::stop: return Event::stop;
        case Job::restart: return Event::restart;
        case Job::pause: return Event::pause;
        case Job::resume: return Event::resume;
        case Job::remove: return Event::remove;
        // These change no status.
        case Job::attach:
        case Job::detach:
        case Job::grow:
        case Job::import:
        case Job::publish: break;
    }
    return Event::start;
}

}  // namespace vmm::domain
