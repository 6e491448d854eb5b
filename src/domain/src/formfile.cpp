#include "vmm/domain/formfile.h"

#include "vmm/base/text.h"

#include <array>

namespace vmm::domain {
namespace {

struct Range {
    std::string_view what;
    std::uint32_t least;
    std::uint32_t most;
};

constexpr Range vcpu_range{"a number of vCPUs", 1, 128};
constexpr Range memory_range{"MiB of memory", 512, 256000};
constexpr Range disk_range{"GiB of disk", 5, 65535};

constexpr std::array<std::string_view, 10> guest_instructions{
    "MODEL",
    "GPU",
    "USER",
    "ENV",
    "COPY",
    "INSTALL",
    "RUN",
    "WORKDIR",
    "ENTRYPOINT",
    "EXPOSE",
};

std::unexpected<Error> wrong(std::size_t line, std::string message) {
    return invalid("formfile", "line " + std::to_string(line) + ": " + message);
}

Result<std::uint32_t> number(std::size_t line, std::string_view text, const Range& range) {
    const auto value = parse_number<std::uint32_t>(text);
    if (!value || *value < range.least || *value > range.most) {
        return wrong(
            line,
            "expected " + std::string{range.what} + " from " + std::to_string(range.least) + " to " +
                std::to_string(range.most) + ", found " + quote(text)
        );
    }
    return *value;
}

bool one_of(std::string_view word, std::initializer_list<std::string_view> words) {
    for (const auto candidate : words) {
        if (word == candidate) {
            return true;
        }
    }
    return false;
}

Result<void> read_line(Formfile& out, std::size_t at, std::string_view line) {
    const auto blank = line.find_first_of(" \t");
    const auto word = line.substr(0, blank);
    const auto argument = blank == std::string_view::npos ? std::string_view{} : trim(line.substr(blank));
    if (argument.empty()) {
        return wrong(at, "the instruction " + quote(word) + " has no argument");
    }
    if (word == "NAME") {
        out.name = argument;
    } else if (word == "DESCRIPTION") {
        out.description = argument;
    } else if (one_of(word, {"VCPU", "CPU", "CORES"})) {
        TRY(out.vcpus, number(at, argument, vcpu_range));
    } else if (one_of(word, {"MEMORY", "MEM", "MBS"})) {
        TRY(out.memory_mib, number(at, argument, memory_range));
    } else if (one_of(word, {"DISK", "STORAGE"})) {
        TRY(out.disk_gib, number(at, argument, disk_range));
    } else {
        for (const auto known : guest_instructions) {
            if (word == known) {
                return wrong(
                    at,
                    std::string{word} +
                        " builds inside the guest, which this service does not do; build an image with it "
                        "instead"
                );
            }
        }
        return wrong(at, "unknown instruction " + quote(word));
    }
    return {};
}

}  // namespace

Result<Formfile> parse_formfile(std::string_view text) {
    Formfile out;
    std::size_t at = 0;
    while (!text.empty()) {
        const auto end = text.find('\n');
        const auto line = trim(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        ++at;
        if (!line.empty() && line.front() != '#') {
            CHECK(read_line(out, at, line));
        }
    }
    return out;
}

}  // namespace vmm::domain
