#pragma once

#include "vmm/base/error.h"
#include "vmm/base/time.h"
#include "vmm/domain/address.h"
#include "vmm/domain/lifecycle.h"

#include <cstdint>
#include <optional>
#include <string>

namespace vmm::domain {

enum class Job : std::uint8_t {
    create,
    clone,  // a create whose disk is another machine's
    start,
    stop,
    restart,
    pause,
    resume,
    remove,
    attach,  // of a volume
    detach,
    grow,     // of a disk
    import,   // of an image; the target is its name
    publish,  // of a machine's disk as an image
};

// Jobs that make images; the others are machines'.
constexpr bool makes_image(Job job) {
    return job == Job::import || job == Job::publish;
}

// Jobs that change what a machine has and not what it does: its status stays.
constexpr bool reconfigures(Job job) {
    return job == Job::attach || job == Job::detach || job == Job::grow;
}

enum class Progress : std::uint8_t { pending, running, succeeded, failed, cancelled };

constexpr bool ended(Progress progress) {
    return progress != Progress::pending && progress != Progress::running;
}

// One long action on one machine or image. Stored before its first effect; ends in succeeded, failed or
// cancelled, also when the service dies in between.
struct Operation {
    std::string id;
    Job kind = Job::create;
    std::string target;
    Progress status = Progress::pending;
    int progress = 0;  // 0..100
    std::optional<Error> error;
    Address requested_by;
    Timestamp created_at;
    Timestamp updated_at;
    std::int64_t timeout_s = 30;  // of a stop: how long the guest may take
    bool force = false;           // of a stop or delete: do not ask the guest
    bool start = false;           // of a create: boot it too
    std::string source;           // of a clone or publish: the machine whose disk it is
    std::string disk;             // of an attach, detach or grow: "root" or a volume's id
    std::uint32_t size_gib = 0;   // of a grow: the new size; of an attach: not 0 for a new volume
    bool with_volumes = false;    // of a remove: the attached volumes too
    int attempts = 0;             // how often a restarted service took it up again
    std::string idempotency_key;  // the store's key of the caller's Idempotency-Key record, or empty
};

std::string_view name(Job job);
std::string_view name(Progress progress);
std::optional<Job> job_named(std::string_view name);
std::optional<Progress> progress_named(std::string_view name);

// The lifecycle event that begins a job. Creating begins with the record itself; jobs that change no status
// have none.
Event beginning(Job job);

}  // namespace vmm::domain
