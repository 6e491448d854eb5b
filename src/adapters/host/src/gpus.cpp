#include "vmm/base/files.h"
#include "vmm/base/text.h"
#include "vmm/host/host.h"

#include <algorithm>
#include <array>

namespace vmm::host {
namespace {

namespace fs = std::filesystem;

struct Model {
    std::string_view device;
    std::string_view name;
};

constexpr std::array models{
    Model{"0x2321", "H100"},
    Model{"0x2330", "H100"},
    Model{"0x2331", "H100"},
    Model{"0x2336", "H100"},
    Model{"0x2339", "H100"},
    Model{"0x2335", "H200"},
    Model{"0x233b", "H200"},
    Model{"0x2901", "B200"},
    Model{"0x2b85", "RTX5090"},
};

std::string attribute(const fs::path& device, const char* name) {
    return std::string{trim(read_file(device / name, 64).value_or(""))};
}

// The last part of what a link names; empty when there is none.
std::string link_of(const fs::path& device, const char* name) {
    std::error_code failed;
    return fs::read_symlink(device / name, failed).filename().string();
}

std::string model_of(const fs::path& device) {
    const auto number = attribute(device, "device");
    const auto* const known = std::ranges::find(models, number, &Model::device);
    return known != models.end() ? std::string{known->name}
                                 : "10de:" + number.substr(std::min<std::size_t>(2, number.size()));
}

std::string driver_words(const std::string& driver) {
    return driver.empty() ? "has no driver" : "has the driver " + driver;
}

// Why it cannot be given to a machine; empty when it can.
std::string obstacle_of(const fs::path& device, const std::string& group) {
    if (group.empty()) {
        return "is in no IOMMU group (the host's IOMMU is off: see intel_iommu and amd_iommu of its kernel)";
    }
    if (const auto driver = link_of(device, "driver"); driver != "vfio-pci") {
        return driver_words(driver) + ", not vfio-pci";
    }
    std::error_code failed;
    for (const auto& other : fs::directory_iterator{device / "iommu_group" / "devices", failed}) {
        const auto driver = link_of(other.path(), "driver");
        const bool bridge = attribute(other.path(), "class").starts_with("0x06");
        if (!bridge && !driver.empty() && driver != "vfio-pci") {
            return "shares its IOMMU group " + group + " with " + other.path().filename().string() +
                   ", which " + driver_words(driver) + ", not vfio-pci";
        }
    }
    return {};
}

}  // namespace

std::vector<domain::HostGpu> find_gpus(const fs::path& sys) {
    std::vector<domain::HostGpu> found;
    std::error_code failed;
    for (const auto& device : fs::directory_iterator{sys / "bus/pci/devices", failed}) {
        const auto kind = attribute(device.path(), "class");
        // VGA and 3D controllers.
        const bool graphics = kind.starts_with("0x0300") || kind.starts_with("0x0302");
        if (!graphics || attribute(device.path(), "vendor") != "0x10de") {
            continue;
        }
        const auto group = link_of(device.path(), "iommu_group");
        domain::HostGpu gpu;
        gpu.address = device.path().filename().string();
        gpu.model = model_of(device.path());
        gpu.iommu_group = parse_number<int>(group).value_or(-1);
        gpu.obstacle = obstacle_of(device.path(), group);
        found.push_back(std::move(gpu));
    }
    std::ranges::sort(found, {}, &domain::HostGpu::address);
    return found;
}

}  // namespace vmm::host
