#include "vmm/base/time.h"

#include "vmm/base/text.h"

#include <algorithm>

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
    static constexpr std::string_view form = "dddd-dd-ddTdd:dd:dd";
    const auto number = [&text](std::size_t at, std::size_t digits) {
        return parse_number<int>(text.substr(at, digits)).value_or(-1);
    };
    const auto fits = [](std::string_view given, std::string_view wanted) {
        return given.size() == wanted.size() && std::ranges::equal(given, wanted, [](char c, char f) {
                   return f == 'd' ? c >= '0' && c <= '9' : c == f;
               });
    };
    if (!fits(text.substr(0, form.size()), form)) {
        return std::nullopt;
    }
    const year_month_day date{
        year{number(0, 4)},
        month{static_cast<unsigned>(number(5, 2))},
        day{static_cast<unsigned>(number(8, 2))}
    };
    const auto clock = seconds{number(11, 2) * 3600 + number(14, 2) * 60 + number(17, 2)};
    if (!date.ok() || number(11, 2) > 23 || number(14, 2) > 59 || number(17, 2) > 60) {
        return std::nullopt;
    }
    auto rest = text.substr(form.size());
    milliseconds fraction{0};
    if (rest.starts_with('.')) {
        const auto end = std::min(rest.find_first_not_of("0123456789", 1), rest.size());
        if (end < 2 || end > 10) {
            return std::nullopt;
        }
        std::string thousandths{rest.substr(1, std::min<std::size_t>(end - 1, 3))};
        thousandths.resize(3, '0');
        fraction = milliseconds{*parse_number<int>(thousandths)};
        rest.remove_prefix(end);
    }
    minutes offset{0};
    if (fits(rest, "+dd:dd") || fits(rest, "-dd:dd")) {
        const auto at = text.size() - rest.size();
        offset = minutes{(number(at + 1, 2) * 60 + number(at + 4, 2)) * (rest.front() == '-' ? -1 : 1)};
    } else if (rest != "Z" && rest != "z") {
        return std::nullopt;
    }
    const auto point = sys_days{date} + clock + fraction - offset;
    return Timestamp{duration_cast<milliseconds>(point.time_since_epoch()).count()};
}

}  // namespace vmm
