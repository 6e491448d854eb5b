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
    if (place && place->owner != view->owner) {
        by_owner_[place->owner].erase(view->id);
    }
    by_owner_[view->owner].insert(view->id);
    place = view;
}

void Registry::erase(const std::string& id) {
    const std::unique_lock lock{mutex_};
    const auto place = by_id_.find(id);
    if (place == by_id_.end()) {
        return;
    }
    const auto owned = by_owner_.find(place->second->owner);
    owned->second.erase(id);
    if (owned->second.empty()) {
        by_owner_.erase(owned);
    }
    by_id_.erase(place);
}

VmView Registry::find(const std::string& id) const {
    const std::shared_lock lock{mutex_};
    const auto place = by_id_.find(id);
    return place == by_id_.end() ? nullptr : place->second;
}

Registry::Page Registry::list(
    const domain::Caller& caller,
    const Filter& filter,
    const std::string& after,
    std::size_t limit
) const {
    Page page;
    const auto take = [&](const VmView& vm) {
        if (!domain::may(caller, domain::Action::view, *vm) || !matches(*vm, filter)) {
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
    if (caller.administrator) {
        for (auto place = by_id_.upper_bound(after); place != by_id_.end() && take(place->second); ++place) {
        }
        return page;
    }
    const auto owned = by_owner_.find(caller.address);
    if (owned != by_owner_.end()) {
        for (auto id = owned->second.upper_bound(after); id != owned->second.end() && take(by_id_.at(*id));
             ++id) {
        }
    }
    return page;
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

std::size_t Registry::owned_by(const domain::Address& owner) const {
    const std::shared_lock lock{mutex_};
    const auto owned = by_owner_.find(owner);
    return owned == by_owner_.end() ? 0 : owned->second.size();
}

}  // namespace vmm::app
