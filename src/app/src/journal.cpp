#include "vmm/app/journal.h"

namespace vmm::app {
namespace {

constexpr std::size_t most_kept = 100;  // for each machine

}  // namespace

void Journal::add(const std::string& vm, std::string what, std::string detail) {
    const std::lock_guard lock{mutex_};
    auto& past = by_vm_[vm];
    past.push_back({now(), std::move(what), std::move(detail)});
    if (past.size() > most_kept) {
        past.pop_front();
    }
}

std::vector<Happening> Journal::of(const std::string& vm) const {
    const std::lock_guard lock{mutex_};
    const auto past = by_vm_.find(vm);
    return past == by_vm_.end() ? std::vector<Happening>{}
                                : std::vector<Happening>(past->second.begin(), past->second.end());
}

void Journal::forget(const std::string& vm) {
    const std::lock_guard lock{mutex_};
    by_vm_.erase(vm);
}

}  // namespace vmm::app
