#include "vmm/domain/gpu.h"

#include "vmm/base/text.h"

#include <algorithm>

namespace vmm::domain {
namespace {

bool contains(const std::vector<std::string>& all, const std::string& one) {
    return std::ranges::find(all, one) != all.end();
}

// What the host has, in words.
std::string inventory(const std::vector<HostGpu>& host) {
    if (host.empty()) {
        return "it has no NVIDIA GPU";
    }
    std::string out = "it has";
    for (const auto& gpu : host) {
        out.append(&gpu == &host.front() ? " " : "; ").append(gpu.model).append(" at ").append(gpu.address);
        if (!gpu.obstacle.empty()) {
            out.append(", which ").append(gpu.obstacle);
        }
    }
    return out;
}

Error refusal(Code code, std::string_view slug, const GpuWish& wish, std::string why) {
    if (wish.line > 0) {
        why.insert(0, "line " + std::to_string(wish.line) + ": ");
    }
    return Error{code, std::move(why)}.with_slug(slug).with_field(wish.line > 0 ? "formfile" : "gpus");
}

}  // namespace

Result<void> check_gpu(std::string_view model, std::uint32_t count) {
    if (std::ranges::find(gpu_models, model) == gpu_models.end()) {
        return fail(Code::invalid, "expected RTX5090, H100, H200 or B200, found " + quote(model));
    }
    if (count < 1 || count > most_gpus) {
        return fail(Code::invalid, "expected 1 to 8, found " + std::to_string(count));
    }
    return {};
}

Result<std::vector<Gpu>>
choose_gpus(const std::vector<GpuWish>& wishes, const std::vector<HostGpu>& host, const GpusTaken& taken) {
    std::vector<int> closed;  // groups of which another machine has a device
    for (const auto& gpu : host) {
        if (contains(taken, gpu.address)) {
            closed.push_back(gpu.iommu_group);
        }
    }
    std::vector<Gpu> out;
    std::vector<std::string> chosen;
    for (const auto& wish : wishes) {
        std::uint32_t able = 0;
        std::uint32_t got = 0;
        for (const auto& gpu : host) {
            if (gpu.model != wish.model || !gpu.obstacle.empty() || contains(chosen, gpu.address)) {
                continue;
            }
            ++able;
            if (got < wish.count && std::ranges::find(closed, gpu.iommu_group) == closed.end()) {
                ++got;
                chosen.push_back(gpu.address);
                out.push_back({gpu.model, gpu.address});
            }
        }
        if (got == wish.count) {
            continue;
        }
        const auto wanted = std::to_string(wish.count) + " " + wish.model;
        if (able < wish.count) {
            return fail(refusal(
                Code::invalid,
                "gpu-unavailable",
                wish,
                "the host cannot pass through " + wanted + ": " + inventory(host)
            ));
        }
        return fail(refusal(
                        Code::conflict,
                        "gpu-taken",
                        wish,
                        wanted + (wish.count == 1 ? " is" : " are") + " wanted, and of the host's " +
                            std::to_string(able) + " other machines leave " + std::to_string(got)
        )
                        .with_hint("delete a machine that has one; a stopped machine keeps its own"));
    }
    if (out.size() > most_gpus) {
        return fail(refusal(
            Code::invalid,
            "invalid-value",
            wishes.front(),
            "a machine has at most 8 GPUs, found " + std::to_string(out.size())
        ));
    }
    return out;
}

Result<void> check_gpus(const std::vector<Gpu>& gpus, const std::vector<HostGpu>& host) {
    for (const auto& gpu : gpus) {
        const auto found = std::ranges::find(host, gpu.address, &HostGpu::address);
        const std::string why = found == host.end()         ? "is not in the host any more"
                                : found->model != gpu.model ? "is a " + found->model + " now"
                                                            : found->obstacle;
        if (!why.empty()) {
            return fail(
                Error{Code::unavailable, "the machine's " + gpu.model + " at " + gpu.address + " " + why}
                    .with_slug("gpu-unavailable")
            );
        }
    }
    return {};
}

}  // namespace vmm::domain
