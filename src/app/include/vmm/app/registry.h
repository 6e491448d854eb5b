#pragma once

#include "vmm/domain/access.h"
#include "vmm/domain/vm.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace vmm::app {

// A machine with its representation for clients, made once for each change rather than for each reader.
struct ShownVm : domain::Vm {
    std::string body;
};

using VmView = std::shared_ptr<const ShownVm>;

// The machines as last stored, for readers: one immutable value per machine, replaced when it changes.
// Thread-safe; readers take a shared lock for the time of a look-up and never wait for the store.
class Registry {
public:
    using Present = std::function<std::string(const domain::Vm&)>;

    Registry() = default;

    explicit Registry(Present present) : present_{std::move(present)} {}

    struct Filter {
        std::optional<domain::Status> status;
        std::string name;
        std::optional<domain::Owner> owner;  // an account or a team
        std::string label_key;
        std::optional<std::string> label_value;
    };

    struct Page {
        std::vector<VmView> vms;
        bool more = false;
    };

    void put(domain::Vm vm);
    void erase(const std::string& id);

    // nullptr when there is none.
    [[nodiscard]] VmView find(const std::string& id) const;

    // Whose machines a caller's list is made of.
    struct Reader {
        domain::Caller caller;
        std::set<std::string> teams;                     // that the caller is a member of
        std::function<bool(const domain::Vm&)> may_see;  // the last word
    };

    // Machines that the caller may see, in id order, after `after`, at most `limit`.
    [[nodiscard]] Page
    list(const Reader& reader, const Filter& filter, const std::string& after, std::size_t limit) const;

    // Machines on which the address has a role that it was given, expired or not.
    [[nodiscard]] std::set<std::string> shared_with(const domain::Address& address) const;

    // Machines that are offered to somebody.
    [[nodiscard]] std::vector<VmView> offered() const;

    [[nodiscard]] std::size_t size() const;
    [[nodiscard]] std::size_t owned_by(const domain::Owner& owner) const;

private:
    static bool matches(const domain::Vm& vm, const Filter& filter);
    void index(const domain::Vm& vm);
    void unindex(const domain::Vm& vm);
    // The ids that the caller's relations lead to, when they are of more than one kind.
    [[nodiscard]] std::set<std::string> related(const Reader& reader) const;
    [[nodiscard]] const std::set<std::string>& of(const domain::Owner& owner) const;

    Present present_;
    mutable std::shared_mutex mutex_;
    std::map<std::string, VmView> by_id_;
    std::map<domain::Owner, std::set<std::string>> by_owner_;
    std::unordered_map<domain::Address, std::set<std::string>, domain::AddressHash> by_collaborator_;
    std::set<std::string> offered_;
};

}  // namespace vmm::app
