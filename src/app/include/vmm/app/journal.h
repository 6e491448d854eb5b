#pragma once

#include "vmm/base/time.h"

#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace vmm::app {

// Something that happened to a machine.
struct Happening {
    Timestamp at;
    std::string what;    // a stable word: no-space, space-again, io-error, guest-reset, ended, …
    std::string detail;  // for people
};

// The last things that happened to each machine since the service started. Thread-safe.
class Journal {
public:
    void add(const std::string& vm, std::string what, std::string detail);

    // Oldest first.
    [[nodiscard]] std::vector<Happening> of(const std::string& vm) const;

    void forget(const std::string& vm);

private:
    mutable std::mutex mutex_;
    std::map<std::string, std::deque<Happening>> by_vm_;
};

}  // namespace vmm::app
