#include "vmm/domain/formfile.h"

#include "vmm/base/text.h"

#include <algorithm>
#include <array>

#include "formfile_ranges.h"

namespace vmm::domain {
namespace {

// One line, and where the words of its argument stand.
struct Line {
    std::size_t number = 0;
    std::size_t column = 1;  // of the argument
    std::string_view word;
    std::string_view argument;
};

std::unexpected<Error> wrong(const Line& line, std::size_t column, std::string message) {
    return invalid(
        "formfile",
        "line " + std::to_string(line.number) + ", column " + std::to_string(column) + ": " + message
    );
}

std::unexpected<Error> wrong(const Line& line, std::string message) {
    return wrong(line, line.column, std::move(message));
}

Result<std::uint32_t> number(const Line& line, const Range& range) {
    const auto value = parse_number<std::uint32_t>(line.argument);
    if (!value || *value < range.least || *value > range.most) {
        return wrong(
            line,
            "expected " + std::string{range.what} + " from " + std::to_string(range.least) + " to " +
                std::to_string(range.most) + ", found " + quote(line.argument)
        );
    }
    return *value;
}

struct Word {
    std::string text;
    std::size_t column = 0;
};

// Words, with quotes kept together and taken off; an unclosed quote is an error.
Result<std::vector<Word>> words_of(const Line& line) {
    std::vector<Word> out;
    bool inside = false;
    char open = 0;
    for (std::size_t i = 0; i < line.argument.size(); ++i) {
        const char c = line.argument[i];
        if (open == 0 && (c == ' ' || c == '\t')) {
            inside = false;
            continue;
        }
        if (!inside) {
            out.push_back({"", line.column + i});
            inside = true;
        }
        if (open == 0 && (c == '"' || c == '\'')) {
            open = c;
        } else if (c == open && open != 0) {
            open = 0;
        } else {
            out.back().text += c;
        }
    }
    if (open != 0) {
        return wrong(
            line, line.column + line.argument.size(), std::string{"a quote "} + open + " is not closed"
        );
    }
    return out;
}

Result<std::vector<std::string>> plain_words(const Line& line) {
    TRY(const auto words, words_of(line));
    std::vector<std::string> out;
    for (const auto& word : words) {
        out.push_back(word.text);
    }
    return out;
}

// ["a", "b"], as JSON writes it.
Result<std::vector<std::string>> bracketed(const Line& line) {
    std::vector<std::string> out;
    const auto text = line.argument;
    std::size_t i = 1;
    const auto skip = [&] {
        while (i < text.size() && (text[i] == ' ' || text[i] == '\t')) {
            ++i;
        }
    };
    skip();
    while (i < text.size() && text[i] != ']') {
        if (text[i] != '"') {
            return wrong(line, line.column + i, "expected a word in double quotes");
        }
        std::string word;
        for (++i; i < text.size() && text[i] != '"'; ++i) {
            if (text[i] == '\\' && i + 1 < text.size()) {
                ++i;
                word += text[i] == 'n' ? '\n' : text[i] == 't' ? '\t' : text[i];
            } else {
                word += text[i];
            }
        }
        if (i >= text.size()) {
            return wrong(line, line.column + i, "a quote is not closed");
        }
        out.push_back(std::move(word));
        ++i;
        skip();
        if (i < text.size() && text[i] == ',') {
            ++i;
            skip();
        } else if (i < text.size() && text[i] != ']') {
            return wrong(line, line.column + i, "expected , or ]");
        }
    }
    if (i + 1 != text.size()) {
        return wrong(line, line.column + i, i < text.size() ? "nothing may follow ]" : "expected ]");
    }
    return out;
}

Result<void> read_user(Formfile& out, const Line& line) {
    TRY(const auto words, words_of(line));
    FormfileUser user;
    for (const auto& word : words) {
        const auto at = word.text.find_first_of(":=");
        if (at == std::string::npos || at == 0) {
            return wrong(line, word.column, "expected KEY:VALUE, found " + quote(word.text));
        }
        auto set = set_user_member(user, word.text.substr(0, at), std::string_view{word.text}.substr(at + 1));
        if (!set) {
            return wrong(line, word.column, set.error().message());
        }
    }
    if (user.username.empty()) {
        return wrong(line, "a user needs username:NAME");
    }
    out.users.push_back(std::move(user));
    return {};
}

Result<void> read_env(Formfile& out, const Line& line) {
    BuildStep step;
    step.kind = BuildStep::Kind::env;
    step.line = line.number;
    auto rest = line.argument;
    std::size_t column = line.column;
    constexpr std::string_view flag = "--scope=";
    if (rest.starts_with(flag)) {
        const auto blank = rest.find_first_of(" \t");
        const auto scope =
            rest.substr(flag.size(), blank == std::string_view::npos ? blank : blank - flag.size());
        if (scope.starts_with("user:") && scope.size() > 5) {
            step.scope = BuildStep::Scope::user;
            step.who = scope.substr(5);
        } else if (scope.starts_with("service:") && scope.size() > 8) {
            step.scope = BuildStep::Scope::service;
            step.who = scope.substr(8);
        } else if (scope != "system") {
            return wrong(
                line, column, "expected --scope=system, user:NAME or service:NAME, found " + quote(scope)
            );
        }
        const auto after =
            blank == std::string_view::npos ? rest.size() : rest.find_first_not_of(" \t", blank);
        column += std::min(after, rest.size());
        rest.remove_prefix(std::min(after, rest.size()));
    }
    const auto equals = rest.find('=');
    if (equals == std::string_view::npos || !is_variable(rest.substr(0, equals))) {
        return wrong(line, column, "expected KEY=VALUE with a variable's name, found " + quote(rest));
    }
    auto value = rest.substr(equals + 1);
    const bool quoted =
        value.size() >= 2 && (value.front() == '"' || value.front() == '\'') && value.back() == value.front();
    if (quoted) {
        value = value.substr(1, value.size() - 2);
    } else if (value.find_first_of(" \t") != std::string_view::npos) {
        return wrong(
            line, column + equals + 1, "a value with spaces is written in quotes, one variable a line"
        );
    }
    step.words = {std::string{rest.substr(0, equals)}, std::string{value}};
    out.steps.push_back(std::move(step));
    return {};
}

Result<void> read_gpu(Formfile& out, const Line& line) {
    const auto colon = line.argument.find(':');
    GpuWish gpu;
    gpu.model = line.argument.substr(0, colon);
    gpu.line = line.number;
    if (const auto known = check_gpu(gpu.model, 1); !known) {
        return wrong(line, known.error().message());
    }
    if (colon != std::string_view::npos) {
        const auto count = parse_number<std::uint32_t>(line.argument.substr(colon + 1));
        if (!count || !check_gpu(gpu.model, *count)) {
            return wrong(
                line,
                line.column + colon + 1,
                "expected 1 to 8, found " + quote(line.argument.substr(colon + 1))
            );
        }
        gpu.count = *count;
    }
    out.gpus.push_back(std::move(gpu));
    return {};
}

Result<void> read_model(Formfile& out, const Line& line) {
    const auto colon = line.argument.find(':');
    const auto how = line.argument.substr(0, colon);
    const bool known = how == "required" || how == "preferred";
    if (!known || colon == std::string_view::npos || colon + 1 == line.argument.size() ||
        line.argument.find(':', colon + 1) != std::string_view::npos) {
        return wrong(line, "expected required:MODEL or preferred:MODEL, found " + quote(line.argument));
    }
    out.model = line.argument.substr(colon + 1);
    out.model_required = how == "required";
    return {};
}

Result<void> read_expose(Formfile& out, const Line& line) {
    TRY(const auto words, words_of(line));
    for (const auto& word : words) {
        const auto slash = word.text.find('/');
        FormfilePort port;
        const auto number = parse_number<std::uint16_t>(word.text.substr(0, slash));
        port.protocol = slash == std::string::npos ? "tcp" : word.text.substr(slash + 1);
        if (!number || *number == 0 || (port.protocol != "tcp" && port.protocol != "udp")) {
            return wrong(
                line, word.column, "expected a port such as 80 or 53/udp, found " + quote(word.text)
            );
        }
        port.port = *number;
        out.exposes.push_back(port);
    }
    return {};
}

Result<void> read_workdir(Formfile& out, const Line& line) {
    if (out.workdir != "/") {
        return wrong(line, 1, "there is a WORKDIR already");
    }
    out.workdir = line.argument;
    const auto parts = split(line.argument, '/');
    if (line.argument.front() != '/' || std::ranges::find(parts, "..") != parts.end() ||
        std::ranges::find(parts, ".") != parts.end()) {
        return wrong(line, "expected an absolute path without . and .., found " + quote(line.argument));
    }
    return {};
}

Result<void> read_entrypoint(Formfile& out, const Line& line) {
    TRY(out.entrypoint, line.argument.front() == '[' ? bracketed(line) : plain_words(line));
    return {};
}

std::optional<std::uint32_t> seconds(std::string_view text) {
    const bool minutes = text.ends_with('m');
    if (!text.empty() && (text.back() == 's' || minutes)) {
        text.remove_suffix(1);
    }
    const auto number = parse_number<std::uint32_t>(text);
    return number && *number >= 1 && *number <= 3600 ? std::optional{*number * (minutes ? 60 : 1)}
                                                     : std::nullopt;
}

Result<void> read_health(Formfile& out, const Line& line) {
    HealthCheck check;
    auto rest = line.argument;
    if (rest == "NONE") {
        return {};
    }
    while (rest.starts_with("--")) {
        const auto column = line.column + static_cast<std::size_t>(rest.data() - line.argument.data());
        const auto word = rest.substr(0, rest.find_first_of(" \t"));
        const auto equals = word.find('=');
        const auto key = word.substr(0, equals);
        const auto value = equals == std::string_view::npos ? std::string_view{} : word.substr(equals + 1);
        const auto amount = key == "--retries" ? parse_number<std::uint32_t>(value) : seconds(value);
        if (!amount || *amount == 0) {
            return wrong(
                line, column, "expected a time such as 30s, or a number of retries, found " + quote(word)
            );
        }
        if (key == "--interval") {
            check.interval_s = *amount;
        } else if (key == "--timeout") {
            check.timeout_s = *amount;
        } else if (key == "--retries") {
            check.retries = *amount;
        } else {
            return wrong(
                line, column, "expected --interval=, --timeout= or --retries=, found " + quote(word)
            );
        }
        rest = trim(rest.substr(word.size()));
    }
    constexpr std::string_view command = "CMD ";
    if (!rest.starts_with(command) || trim(rest.substr(command.size())).empty()) {
        return wrong(
            line,
            line.column + static_cast<std::size_t>(rest.data() - line.argument.data()),
            "expected CMD COMMAND, found " + quote(rest)
        );
    }
    check.command = trim(rest.substr(command.size()));
    out.health = std::move(check);
    return {};
}

Result<void> read_step(Formfile& out, const Line& line, BuildStep::Kind kind) {
    BuildStep step;
    step.kind = kind;
    step.line = line.number;
    if (kind == BuildStep::Kind::run) {
        step.words.emplace_back(line.argument);
    } else {
        TRY(step.words, plain_words(line));
    }
    if (kind == BuildStep::Kind::copy && step.words.size() != 2) {
        return wrong(line, "expected COPY FROM TO, found " + std::to_string(step.words.size()) + " words");
    }
    out.steps.push_back(std::move(step));
    return {};
}

using Read = Result<void> (*)(Formfile&, const Line&);

struct Instruction {
    std::string_view word;
    Read read;
};

template <auto member>
Result<void> read_text(Formfile& out, const Line& line) {
    out.*member = line.argument;
    return {};
}

template <auto member, const Range& range>
Result<void> read_number(Formfile& out, const Line& line) {
    TRY(out.*member, number(line, range));
    return {};
}

template <BuildStep::Kind kind>
Result<void> read_kind(Formfile& out, const Line& line) {
    return read_step(out, line, kind);
}

constexpr std::array<Instruction, 22> instructions{{
    {"FROM", read_text<&Formfile::from>},
    {"NAME", read_text<&Formfile::name>},
    {"DESCRIPTION", read_text<&Formfile::description>},
    {"VCPU", read_number<&Formfile::vcpus, vcpu_range>},
    {"CPU", read_number<&Formfile::vcpus, vcpu_range>},
    {"CORES", read_number<&Formfile::vcpus, vcpu_range>},
    {"MEMORY", read_number<&Formfile::memory_mib, memory_range>},
    {"MEM", read_number<&Formfile::memory_mib, memory_range>},
    {"MBS", read_number<&Formfile::memory_mib, memory_range>},
    {"DISK", read_number<&Formfile::disk_gib, disk_range>},
    {"STORAGE", read_number<&Formfile::disk_gib, disk_range>},
    {"GPU", read_gpu},
    {"USER", read_user},
    {"ENV", read_env},
    {"COPY", read_kind<BuildStep::Kind::copy>},
    {"INSTALL", read_kind<BuildStep::Kind::install>},
    {"RUN", read_kind<BuildStep::Kind::run>},
    {"WORKDIR", read_workdir},
    {"ENTRYPOINT", read_entrypoint},
    {"EXPOSE", read_expose},
    {"MODEL", read_model},
    {"HEALTHCHECK", read_health},
}};

std::unexpected<Error> unknown(const Line& line) {
    std::vector<std::string> known;
    for (const auto& each : instructions) {
        known.emplace_back(each.word);
    }
    const std::string word{line.word};
    std::string upper;
    for (const char c : word) {
        upper += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    const auto meant = nearest(upper, known);
    return wrong(
        line, 1, "unknown instruction " + quote(word) + (meant ? "; did you mean " + *meant + "?" : "")
    );
}

Result<void> read_line(Formfile& out, const Line& line) {
    const auto found = std::ranges::find(instructions, line.word, &Instruction::word);
    if (found == instructions.end()) {
        return unknown(line);
    }
    if (line.argument.empty()) {
        return wrong(line, 1, "the instruction " + quote(line.word) + " has no argument");
    }
    if (line.argument.ends_with('\\')) {
        return wrong(
            line,
            line.column + line.argument.size() - 1,
            "an instruction stands on one line; there is no \\ to go on"
        );
    }
    return found->read(out, line);
}

}  // namespace

Result<Formfile> parse_formfile(std::string_view text) {
    Formfile out;
    Line line;
    while (!text.empty()) {
        const auto end = text.find('\n');
        const auto whole = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        ++line.number;
        const auto trimmed = trim(whole);
        if (trimmed.empty() || trimmed.front() == '#') {
            continue;
        }
        const auto blank = trimmed.find_first_of(" \t");
        line.word = trimmed.substr(0, blank);
        line.argument = blank == std::string_view::npos ? std::string_view{} : trim(trimmed.substr(blank));
        line.column =
            line.argument.empty() ? 1 : static_cast<std::size_t>(line.argument.data() - whole.data()) + 1;
        CHECK(read_line(out, line));
    }
    CHECK(check_formfile(out));
    return out;
}

}  // namespace vmm::domain
