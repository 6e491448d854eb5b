#include "vmm/base/time.h"

#include <array>
#include <cstdio>

namespace vmm {

Timestamp now() {
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return {std::chrono::duration_cast<std::chrono::milliseconds>(since).count()};
}

std::string rfc3339(Timestamp time) {
    using namespace std::chrono;
    const sys_time<milliseconds> point{milliseconds{time.ms}};
    const auto day = floor<days>(point);
    const year_month_day date{day};
    const hh_mm_ss clock{point - day};
    std::string text = "0000-00-00T00:00:00.000Z";
    const auto put = [&text](std::size_t at, std::size_t digits, long value) {
        for (std::size_t i = digits; i-- > 0; value /= 10) {
            text[at + i] = static_cast<char>('0' + value % 10);
        }
    };
    put(0, 4, static_cast<int>(date.year()));
    put(5, 2, static_cast<long>(static_cast<unsigned>(date.month())));
    put(8, 2, static_cast<long>(static_cast<unsigned>(date.day())));
    put(11, 2, clock.hours().count());
    put(14, 2, clock.minutes().count());
    put(17, 2, clock.seconds().count());
    put(20, 3, clock.subseconds().count());
    return text;
}

std::optional<Timestamp> parse_rfc3339(std::string_view text) {
    using namespace std::chrono;
    if (text.size() != 24) {
        return std::nullopt;
    }
    int y = 0;
    unsigned mo = 0;
    unsigned d = 0;
    int h = 0;
    int mi = 0;
    int s = 0;
    int ms = 0;
    const std::string copy{text};
    if (std::sscanf(copy.c_str(), "%4d-%2u-%2uT%2d:%2d:%2d.%3dZ", &y, &mo, &d, &h, &mi, &s, &ms) != 7) {
        return std::nullopt;
    }
    const year_month_day date{year{y}, month{mo}, day{d}};
    if (!date.ok()) {
        return std::nullopt;
    }
    const auto point = sys_days{date} + hours{h} + minutes{mi} + seconds{s} + milliseconds{ms};
    return Timestamp{duration_cast<milliseconds>(point.time_since_epoch()).count()};
}

}  // namespace vmm
