#include "multipart.h"

#include "vmm/base/text.h"

namespace vmm::http {
namespace {

std::unexpected<Error> malformed(std::string message) {
    return fail(Error{Code::malformed, std::move(message)}.with_slug("bad-form").with_field("Content-Type"));
}

// The value of a header's parameter, with or without quotes.
std::string parameter(std::string_view header, std::string_view name) {
    const auto key = std::string{name} + "=";
    for (auto at = header.find(key); at != std::string_view::npos; at = header.find(key, at + 1)) {
        if (at == 0 || (header[at - 1] != ' ' && header[at - 1] != ';')) {
            continue;  // another's ending, as in filename=
        }
        auto value = header.substr(at + key.size());
        if (value.starts_with('"')) {
            return std::string{value.substr(1, value.find('"', 1) - 1)};
        }
        return std::string{trim(value.substr(0, value.find(';')))};
    }
    return {};
}

}  // namespace

Result<std::map<std::string, std::string>>
read_multipart(std::string_view content_type, std::string_view body) {
    const auto boundary = parameter(content_type, "boundary");
    if (boundary.empty() || boundary.size() > 70) {
        return malformed("a form's Content-Type names its boundary");
    }
    std::map<std::string, std::string> out;
    const auto line = "--" + boundary;
    if (!body.starts_with(line)) {
        return malformed("the form does not begin with its boundary");
    }
    body.remove_prefix(line.size());
    while (!body.starts_with("--")) {
        const auto end_of_head = body.find("\r\n\r\n");
        const auto next = body.find("\r\n" + line);
        if (!body.starts_with("\r\n") || end_of_head == std::string_view::npos ||
            next == std::string_view::npos || next < end_of_head) {
            return malformed("a part of the form is not complete");
        }
        const auto head = body.substr(2, end_of_head);
        std::string name;
        for (const auto& header : split(head, '\n')) {
            if (lower(header).starts_with("content-disposition:")) {
                name = parameter(trim(header), "name");
            }
        }
        // The line break before the boundary belongs to the boundary.
        const auto begin = end_of_head + 4;
        const auto content = next < begin ? std::string_view{} : body.substr(begin, next - begin);
        if (name.empty() || !out.emplace(name, content).second) {
            return malformed(
                name.empty() ? "a part of the form has no name"
                             : "two parts of the form are named " + quote(name)
            );
        }
        body.remove_prefix(next + 2 + line.size());
    }
    return out;
}

}  // namespace vmm::http
