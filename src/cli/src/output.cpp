#include "output.h"

#include "vmm/base/text.h"
#include "vmm/base/time.h"
#include "vmm/json/write.h"

#include <algorithm>
#include <cstdio>

#include "terminal.h"

namespace vmm::cli {
namespace {

Colour colour_of(std::string_view status) {
    if (status == "running" || status == "succeeded" || status == "healthy") {
        return Colour::green;
    }
    if (status == "failed" || status == "unhealthy" || status == "cancelled") {
        return Colour::red;
    }
    if (status == "stopped") {
        return Colour::dim;
    }
    return Colour::yellow;
}

// Code points, which is near enough to columns for the names that the service takes.
std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    }));
}

void indent(std::string& out, const json::Value& value, std::size_t depth) {
    const auto line = [&out](std::size_t at) { out.append("\n").append(at * 2, ' '); };
    const auto* object = value.as<json::Object>();
    const auto* list = value.as<json::List>();
    if (object != nullptr && !object->empty()) {
        out += '{';
        for (std::size_t i = 0; i < object->size(); ++i) {
            out.append(i == 0 ? "" : ",");
            line(depth + 1);
            json::append_text(out, (*object)[i].first);
            out.append(": ");
            indent(out, (*object)[i].second, depth + 1);
        }
        line(depth);
        out += '}';
    } else if (list != nullptr && !list->empty()) {
        out += '[';
        for (std::size_t i = 0; i < list->size(); ++i) {
            out.append(i == 0 ? "" : ",");
            line(depth + 1);
            indent(out, (*list)[i], depth + 1);
        }
        line(depth);
        out += ']';
    } else {
        out.append(json::compact(value));
    }
}

std::string age(std::string_view time) {
    const auto then = parse_rfc3339(time);
    if (!then) {
        return "-";
    }
    const auto s = (now().ms - then->ms) / 1000;
    if (s < 120) {
        return std::to_string(s) + "s";
    }
    if (s < 7200) {
        return std::to_string(s / 60) + "m";
    }
    return s < 172800 ? std::to_string(s / 3600) + "h" : std::to_string(s / 86400) + "d";
}

const json::List& list_of(const json::Value& answer, std::string_view member) {
    static const json::List none;
    const auto* found = answer.find(member);
    const auto* list = found == nullptr ? nullptr : found->as<json::List>();
    return list == nullptr ? none : *list;
}

}  // namespace

void print_table(
    const std::vector<std::string>& headings,
    const std::vector<std::vector<std::string>>& rows
) {
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < headings.size(); ++i) {
        widths.push_back(headings[i].size());
        for (const auto& row : rows) {
            widths[i] = std::max(widths[i], width(row[i]));
        }
    }
    const auto print = [&](const std::vector<std::string>& row, bool heading) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            const bool status = headings[i] == "STATUS" && !heading;
            line.append(painted(row[i], status ? colour_of(row[i]) : heading ? Colour::dim : Colour::none));
            line.append(i + 1 < row.size() ? widths[i] - width(row[i]) + 2 : 0, ' ');
        }
        std::puts(line.c_str());
    };
    print(headings, true);
    for (const auto& row : rows) {
        print(row, false);
    }
}

void print_json(const json::Value& value) {
    std::string out;
    indent(out, value, 0);
    std::puts(out.c_str());
}

std::string shown(const json::Value& object, std::string_view member) {
    const auto* value = object.find(member);
    if (value == nullptr || value->is_null()) {
        return "-";
    }
    if (const auto* text = value->as<std::string>()) {
        return text->empty() ? "-" : *text;
    }
    if (const auto* list = value->as<json::List>()) {
        std::string out;
        for (const auto& part : *list) {
            const auto* word = part.as<std::string>();
            out.append(out.empty() ? "" : ", ").append(word == nullptr ? json::compact(part) : *word);
        }
        return out.empty() ? "-" : out;
    }
    if (const auto* members = value->as<json::Object>()) {
        std::string out;
        for (const auto& [key, part] : *members) {
            const auto* word = part.as<std::string>();
            out.append(out.empty() ? "" : ", ")
                .append(key)
                .append("=")
                .append(word == nullptr ? json::compact(part) : *word);
        }
        return out.empty() ? "-" : out;
    }
    return json::compact(*value);
}

void print_vms(const Settings& settings, const json::Value& answer) {
    if (settings.output == "json") {
        print_json(answer);
        return;
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& vm : list_of(answer, "vms")) {
        rows.push_back({
            shown(vm, "name"),
            shown(vm, "id"),
            shown(vm, "status"),
            shown(vm, "vcpus"),
            shown(vm, "memory_mib"),
            shown(vm, "image"),
            shown(vm, "addresses"),
            age(vm.text_or("created_at", "")),
            shown(vm, "status_reason"),
        });
    }
    print_table({"NAME", "ID", "STATUS", "VCPUS", "MIB", "IMAGE", "ADDRESS", "AGE", "REASON"}, rows);
}

void print_operations(const Settings& settings, const json::Value& answer) {
    if (settings.output == "json") {
        print_json(answer);
        return;
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& operation : list_of(answer, "operations")) {
        const auto* error = operation.find("error");
        rows.push_back({
            shown(operation, "id"),
            shown(operation, "kind"),
            shown(operation, "target"),
            shown(operation, "status"),
            age(operation.text_or("created_at", "")),
            error == nullptr ? "-" : shown(*error, "detail"),
        });
    }
    print_table({"ID", "KIND", "TARGET", "STATUS", "AGE", "ERROR"}, rows);
}

void print_list(
    const Settings& settings,
    const json::Value& answer,
    std::string_view list,
    const std::vector<std::string>& members
) {
    if (settings.output == "json") {
        print_json(answer);
        return;
    }
    std::vector<std::string> headings;
    for (auto heading : members) {
        std::ranges::transform(heading, heading.begin(), [](char c) {
            return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c == '_' ? ' ' : c;
        });
        headings.push_back(std::move(heading));
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& each : list_of(answer, list)) {
        std::vector<std::string> row;
        for (const auto& member : members) {
            row.push_back(shown(each, member));
        }
        rows.push_back(std::move(row));
    }
    print_table(headings, rows);
}

void print_object(const Settings& settings, const json::Value& object) {
    if (settings.output == "json") {
        print_json(object);
        return;
    }
    const auto* members = object.as<json::Object>();
    if (members == nullptr) {
        return;
    }
    std::size_t widest = 0;
    for (const auto& [key, value] : *members) {
        widest = std::max(widest, key.size());
    }
    for (const auto& [key, value] : *members) {
        const auto text = shown(object, key);
        std::string line = painted(key, Colour::dim);
        line.append(widest - key.size() + 2, ' ')
            .append(key == "status" ? painted(text, colour_of(text)) : text);
        std::puts(line.c_str());
    }
}

void print_error(const Error& error) {
    std::string out =
        "vmctl: " + (error.field().empty() ? "" : error.field() + ": ") + error.message() + "\n";
    if (!error.expected_message().empty()) {
        out.append("  the service verified this text: ")
            .append(quote(error.expected_message(), 400))
            .append("\n");
        out.append("  and found the signature of:     ").append(error.recovered_address()).append("\n");
    }
    if (!error.hint().empty()) {
        out.append("  hint: ").append(error.hint()).append("\n");
    }
    std::fputs(out.c_str(), stderr);
}

int exit_code(const Error& error) {
    switch (error.code()) {
        case Code::not_found: return 3;
        case Code::unauthenticated:
        case Code::forbidden: return 4;
        case Code::conflict:
        case Code::precondition_failed: return 5;
        case Code::unavailable:
        case Code::exhausted: return 6;
        case Code::timed_out: return 7;
        default: return 1;
    }
}

}  // namespace vmm::cli
