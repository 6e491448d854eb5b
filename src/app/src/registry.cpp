#include "vmm/app/registry.h"

#include <mutex>

namespace vmm::app {

void Registry::put(domain::Vm vm) {
    auto shown = std::make_shared<ShownVm>(ShownVm{std::move(vm), {}});
    if (present_) {
        shown->body = present_(*shown);
        shown->body.shrink_to_fit();
    }
    const VmView view = std::move(shown);
    const std::unique_lock lock{mutex_};
    auto& place = by_id_[view->id];
    if (place) {
        unindex(*place);
    }
    index(*view);
    place = view;
}

void Registry::erase(const std::string& id) {
    const std::unique_lock lock{mutex_};
    const auto place = by_id_.find(id);
    if (place == by_id_.end()) {
        return;
    }
    unindex(*place->second);
    by_id_.erase(place);
}

void Registry::index(const domain::Vm& vm) {
    by_owner_[vm.owner].insert(vm.id);
    for (const auto& grant : vm.collaborators) {
        by_collaborator_[grant.to].insert(vm.id);
    }
    if (vm.offer) {
        offered_.insert(vm.id);
    }
}

void Registry::unindex(const domain::Vm& vm) {
    const auto take_out = [&vm](auto& index, const auto& key) {
        const auto place = index.find(key);
        if (place != index.end() && place->second.erase(vm.id) > 0 && place->second.empty()) {
            index.erase(place);
        }
    };
    take_out(by_owner_, vm.owner);
    for (const auto& grant : vm.collaborators) {
        take_out(by_collaborator_, grant.to);
    }
    offered_.erase(vm.id);
}

VmView Registry::find(const std::string& id) const {
    const std::shared_lock lock{mutex_};
    const auto place = by_id_.find(id);
    return place == by_id_.end() ? nullptr : place->second;
}

const std::set<std::string>& Registry::of(const domain::Owner& owner) const {
    static const std::set<std::string> none;
    const auto owned = by_owner_.find(owner);
    return owned == by_owner_.end() ? none : owned->second;
}

std::set<std::string> Registry::related(const Reader& reader) const {
    auto ids = of(reader.caller.address);
    for (const auto& team : reader.teams) {
        const auto& owned = of(domain::Owner::of_team(team));
        ids.insert(owned.begin(), owned.end());
    }
    if (const auto shared = by_collaborator_.find(reader.caller.address); shared != by_collaborator_.end()) {
        ids.insert(shared->second.begin(), shared->second.end());
    }
    if (reader.caller.delegation && by_id_.contains(reader.caller.delegation->vm)) {
        ids.insert(reader.caller.delegation->vm);
    }
    return ids;
}

Registry::Page Registry::list(
    const Reader& reader,
    const Filter& filter,
    const std::string& after,
    std::size_t limit
) const {
    Page page;
    const auto take = [&](const VmView& vm) {
        if (!reader.may_see(*vm) || !matches(*vm, filter)) {
            return true;
        }
        if (page.vms.size() == limit) {
            page.more = true;
            return false;
        }
        page.vms.push_back(vm);
        return true;
    };
    const std::shared_lock lock{mutex_};
    if (reader.caller.administrator) {
        for (auto place = by_id_.upper_bound(after); place != by_id_.end() && take(place->second); ++place) {
        }
        return page;
    }
    const bool only_own = reader.teams.empty() && !reader.caller.delegation &&
                          !by_collaborator_.contains(reader.caller.address);
    const auto merged = only_own ? std::set<std::string>{} : related(reader);
    const auto& ids = only_own ? of(reader.caller.address) : merged;
    for (auto id = ids.upper_bound(after); id != ids.end() && take(by_id_.at(*id)); ++id) {
    }
    return page;
}

std::set<std::string> Registry::shared_with(const domain::Address& address) const {
    const std::shared_lock lock{mutex_};
    const auto shared = by_collaborator_.find(address);
    return shared == by_collaborator_.end() ? std::set<std::string>{} : shared->second;
}

std::vector<VmView> Registry::offered() const {
    std::vector<VmView> out;
    const std::shared_lock lock{mutex_};
    for (const auto& id : offered_) {
        out.push_back(by_id_.at(id));
    }
    return out;
}

bool Registry::matches(const domain::Vm& vm, const Filter& filter) {
    if (filter.status && vm.status != *filter.status) {
        return false;
    }
    if (!filter.name.empty() && vm.name != filter.name) {
        return false;
    }
    if (filter.owner && vm.owner != *filter.owner) {
        return false;
    }
    if (!filter.label_key.empty()) {
        const auto label = vm.labels.find(filter.label_key);
        return label != vm.labels.end() && (!filter.label_value || label->second == *filter.label_value);
    }
    return true;
}

std::size_t Registry::size() const {
    const std::shared_lock lock{mutex_};
    return by_id_.size();
}

std::size_t Registry::owned_by(const domain::Owner& owner) const {
    const std::shared_lock lock{mutex_};
    return of(owner).size();
}

}  // namespace vmm::app
