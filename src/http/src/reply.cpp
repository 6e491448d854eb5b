#include "reply.h"

#include "vmm/base/text.h"
#include "vmm/http/status.h"

#include <algorithm>

#include "represent.h"

namespace vmm::http {

Reply problem(const Error& error, const std::string& request_id) {
    Reply reply = json_reply(status(error.code()), represent(error, request_id));
    reply.content_type = "application/problem+json";
    if (error.retry_after_s() > 0 || reply.status == 503) {
        reply.headers.emplace_back("Retry-After", std::to_string(std::max(1, error.retry_after_s())));
    }
    if (reply.status == 401) {
        reply.headers.emplace_back(
            "WWW-Authenticate",
            "Signature realm=\"vmm-service\", headers=\"X-Signature X-Recovery-ID X-Timestamp\""
        );
    }
    return reply;
}

const std::string* query(const Request& request, std::string_view name) {
    const auto found = std::ranges::find(request.query, name, &std::pair<std::string, std::string>::first);
    return found == request.query.end() ? nullptr : &found->second;
}

Result<void> check_query(const Request& request, std::initializer_list<std::string_view> known) {
    for (const auto& [name, value] : request.query) {
        if (std::ranges::find(known, name) == known.end()) {
            std::string names;
            for (const auto one : known) {
                names.append(names.empty() ? "" : ", ").append(one);
            }
            return fail(Error{Code::invalid, "the query parameter " + quote(name) + " is not known here"}
                            .with_slug("unknown-parameter")
                            .with_field(quote(name, 64))
                            .with_hint(names.empty() ? "this request takes none" : "known here: " + names));
        }
    }
    return {};
}

Result<std::size_t> query_limit(const Request& request) {
    const auto* text = query(request, "limit");
    if (text == nullptr) {
        return 100;
    }
    const auto limit = parse_number<std::size_t>(*text);
    if (!limit || *limit < 1 || *limit > 1000) {
        return invalid("limit", "expected a number from 1 to 1000, found " + quote(*text));
    }
    return *limit;
}

Result<bool> query_flag(const Request& request, std::string_view name) {
    const auto* text = query(request, name);
    if (text == nullptr || *text == "false" || *text == "0") {
        return false;
    }
    if (text->empty() || *text == "true" || *text == "1") {
        return true;
    }
    return invalid(name, "expected true or false, found " + quote(*text));
}

Result<std::optional<std::int64_t>> if_match(const Request& request) {
    const auto* text = request.header("if-match");
    if (text == nullptr || *text == "*") {
        return std::optional<std::int64_t>{};
    }
    const auto revision =
        text->size() > 2 && text->front() == '"' && text->back() == '"'
            ? parse_number<std::int64_t>(std::string_view{*text}.substr(1, text->find_first_of("-\"", 1) - 1))
            : std::nullopt;
    if (!revision) {
        return fail(Error{Code::malformed, "If-Match must be an ETag as this service gives it, such as \"7\""}
                        .with_field("If-Match"));
    }
    return revision;
}

Result<domain::Address> address_in(const Service& service, const Request& request) {
    auto address = service.world.signatures.parse_address(request.parameters.at("address"));
    if (!address) {
        return invalid("address", address.error().message());
    }
    return address;
}

Reply gone() {
    Reply reply;
    reply.status = 204;
    return reply;
}

Result<domain::Role> role_of(const std::string& text) {
    const auto role = domain::role_named(text);
    return role ? Result<domain::Role>{*role}
                : invalid("role", "expected ReadOnly, Operator, Manager or Owner, found " + quote(text));
}

std::string etag(const app::ShownVm& vm) {
    // What is shown beside the record changes the representation, but not what If-Match is about.
    const bool boots = vm.boot && vm.boot->stage != domain::Stage::ready;
    const auto beside = std::to_string(std::hash<std::string>{}(vm.body) & 0xffff);
    return boots || !vm.health.empty() ? "\"" + std::to_string(vm.revision) + "-" + beside + "\""
                                       : etag(vm.revision);
}

std::string etag(std::int64_t revision) {
    return "\"" + std::to_string(revision) + "\"";
}

Result<bool> wants_public(const std::optional<std::string>& visibility) {
    if (!visibility || *visibility == "private") {
        return false;
    }
    return *visibility == "public"
               ? Result<bool>{true}
               : invalid("visibility", "expected private or public, found " + quote(*visibility));
}

}  // namespace vmm::http
