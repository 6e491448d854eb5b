#include "lapic.h"

namespace vmm::qemu {
namespace {

// The rest of the first line that begins so.
std::string_view line_of(std::string_view text, std::string_view beginning) {
    const auto at = text.find(beginning);
    if (at == std::string_view::npos) {
        return {};
    }
    const auto rest = text.substr(at + beginning.size());
    return rest.substr(0, rest.find('\n'));
}

}  // namespace

bool left_in_calibration(std::string_view lapic) {
    return line_of(lapic, "LVTT\t").contains(" masked") &&
           line_of(lapic, "Timer\t").contains("initial_count = 268435455 ");
}

}  // namespace vmm::qemu
