#pragma once

#include "vmm/base/task.h"
#include "vmm/domain/access.h"
#include "vmm/domain/operation.h"
#include "vmm/ports/state_store.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vmm::app {

// The operations of the last day, open and ended, and those who wait for them. Used on the application's
// executor.
class Operations {
public:
    explicit Operations(ports::StateStore& store) : store_{store} {}

    Task<void> load();

    // Takes the newest value; wakes those who wait when it has ended. The caller stores it.
    void put(domain::Operation operation);

    // The operation's write for a transaction: open ones stay, ended ones expire after a day.
    [[nodiscard]] static ports::Put record(const domain::Operation& operation);

    // Whether the caller may see the machine that an operation is about; nothing when there is none of that
    // id. Set by the Fleet.
    std::function<std::optional<bool>(const domain::Caller&, const std::string& vm)> sees;

    // not_found unless the caller may see its machine; without a machine, unless they asked for it.
    [[nodiscard]] Result<domain::Operation> show(const domain::Caller& caller, const std::string& id) const;

    struct Page {
        std::vector<domain::Operation> operations;
        bool more = false;
    };

    // Newest first.
    [[nodiscard]] Page list(
        const domain::Caller& caller,
        const std::string& target,
        std::optional<domain::Progress> status,
        const std::string& after,
        std::size_t limit
    ) const;

    [[nodiscard]] std::optional<domain::Operation> find(const std::string& id) const;

    // Returns when it has ended, or at the limit, with its value then. not_found.
    Task<domain::Operation> wait(std::string id, std::chrono::milliseconds limit);

    // Operations that have not ended.
    [[nodiscard]] std::vector<domain::Operation> open() const;

    void forget_old(Timestamp at);

private:
    [[nodiscard]] bool visible(const domain::Caller& caller, const domain::Operation& operation) const;

    struct Entry {
        domain::Operation operation;
        std::vector<std::shared_ptr<asio::steady_timer>> waiting;
    };

    ports::StateStore& store_;
    std::map<std::string, Entry> entries_;
};

}  // namespace vmm::app
