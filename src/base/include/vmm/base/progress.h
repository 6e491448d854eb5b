#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

namespace vmm {

// How far a long piece of work has come, and whether it is still wanted. Shared by the worker and whoever
// watches; thread-safe.
struct Progress {
    std::atomic<std::uint64_t> done{0};   // bytes
    std::atomic<std::uint64_t> total{0};  // 0 while not known
    std::atomic<bool> unwanted{false};    // set to have the work end as soon as it can

    // 0..99; the end is told by the work's own result.
    [[nodiscard]] int percent() const {
        const auto all = total.load();
        return all == 0 ? 0 : static_cast<int>(std::min<std::uint64_t>(99, done.load() * 100 / all));
    }
};

using ProgressView = std::shared_ptr<Progress>;

}  // namespace vmm
