#include "moment.h"

#include "vmm/base/text.h"
#include "vmm/base/time.h"

namespace vmm::cli {

Result<std::int64_t> moment(const std::string& text) {
    if (const auto given = parse_rfc3339(text)) {
        return given->ms / 1000;
    }
    static constexpr std::string_view units = "smhd";
    static constexpr std::int64_t seconds[] = {1, 60, 3600, 86400};
    const auto unit = text.empty() ? std::string_view::npos : units.find(text.back());
    const auto count = unit == std::string_view::npos
                           ? std::nullopt
                           : parse_number<std::int64_t>(std::string_view{text}.substr(0, text.size() - 1));
    if (!count || *count < 1 || *count > 1'000'000) {
        return fail(
            Code::invalid,
            "expected a time such as 2030-01-31T12:00:00Z, or 30m, 12h, 7d; found " + quote(text)
        );
    }
    return now().ms / 1000 + *count * seconds[unit];
}

}  // namespace vmm::cli
