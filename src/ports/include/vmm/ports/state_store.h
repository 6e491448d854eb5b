#pragma once

#include "vmm/base/task.h"
#include "vmm/base/time.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vmm::ports {

// One key as it stands. `revision` is the store's revision of its last change; it never comes twice.
struct Record {
    std::string key;
    std::string value;
    std::int64_t revision = 0;
    std::optional<Timestamp> expires_at;
};

// Commit only when the key's last change has this revision; 0 means the key is absent.
struct Expectation {
    std::string key;
    std::int64_t revision = 0;
};

struct Put {
    std::string key;
    std::string value;
    std::optional<Timestamp> expires_at;
};

// What a commit outlives when it returns: the loss of power, or only the end of the process. What can be
// found out again from the host, such as that a machine runs, need not wait for the disk; a later commit
// takes it along.
enum class Outlives : std::uint8_t { power_loss, process };

// All of it or nothing.
struct Transaction {
    Outlives outlives = Outlives::power_loss;
    std::vector<Expectation> expect;
    std::vector<Put> puts;
    std::vector<std::string> removes;
};

// Where the truth is kept: an ordered map with etcd's semantics. Called from any executor; each method
// resumes on the caller's. Every method may fail with unavailable (also as "no-space").
class StateStore {
public:
    virtual ~StateStore() = default;

    // Stored, as far as the transaction asks for it, when it returns the store's new revision. conflict
    // "store-conflict" with the key as field when an expectation does not hold; then nothing has changed.
    virtual Task<std::int64_t> commit(Transaction transaction) = 0;

    // The record, unless it has expired. not_found.
    virtual Task<Record> get(std::string key) = 0;

    // Unexpired records with the prefix whose key is greater than `after`, in key order, at most `limit`.
    virtual Task<std::vector<Record>> list(std::string prefix, std::string after, std::size_t limit) = 0;

    // Forgets what has expired; returns how many.
    virtual Task<std::int64_t> drop_expired(Timestamp at) = 0;

    // Whether it can be read and written now.
    virtual Task<void> check() = 0;
};

}  // namespace vmm::ports
