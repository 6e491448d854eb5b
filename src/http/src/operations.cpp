#include "vmm/base/ids.h"
#include "vmm/base/text.h"

#include "handlers.h"
#include "reply.h"
#include "represent.h"

namespace vmm::http {
namespace {

constexpr std::int64_t longest_wait_s = 300;

// Reads the book of operations, which lives on the application's executor.
Task<app::Operations::Page> page_of(
    Service& service,
    domain::Caller caller,
    std::string target,
    std::optional<domain::Progress> status,
    std::string after,
    std::size_t limit
) {
    co_return service.world.operations.list(caller, target, status, after, limit);
}

Task<domain::Operation>
visible(Service& service, domain::Caller caller, std::string id, std::chrono::milliseconds wait) {
    CO_CHECK(service.world.operations.show(caller, id));
    co_return co_await service.world.operations.wait(std::move(id), wait);
}

std::string text_or_empty(const std::string* text) {
    return text == nullptr ? std::string{} : *text;
}

}  // namespace

Task<Reply> list_operations(Service& service, Request& request) {
    CO_CHECK(check_query(request, {"limit", "cursor", "target", "status"}));
    CO_TRY(const auto limit, query_limit(request));
    std::optional<domain::Progress> status;
    if (const auto* text = query(request, "status")) {
        status = domain::progress_named(*text);
        if (!status) {
            co_return invalid("status", quote(*text) + " is no status of an operation");
        }
    }
    const auto cursor = text_or_empty(query(request, "cursor"));
    if (!cursor.empty() && !is_id("op", cursor)) {
        co_return invalid("cursor", "expected the next_cursor of an earlier page");
    }
    const auto target = text_or_empty(query(request, "target"));
    CO_TRY(
        const auto page,
        co_await on_application(service, page_of(service, request.caller, target, status, cursor, limit))
    );
    wire::OperationList list;
    for (const auto& operation : page.operations) {
        list.operations.push_back(represent(operation));
    }
    if (page.more) {
        list.next_cursor = page.operations.back().id;
    }
    co_return json_reply(200, list);
}

Task<Reply> show_operation(Service& service, Request& request) {
    CO_CHECK(check_query(request, {"wait"}));
    std::int64_t wait_s = 0;
    if (const auto* text = query(request, "wait")) {
        const auto parsed = parse_number<std::int64_t>(*text);
        if (!parsed || *parsed < 0 || *parsed > longest_wait_s) {
            co_return invalid(
                "wait", "expected 0 to " + std::to_string(longest_wait_s) + " seconds, found " + quote(*text)
            );
        }
        wait_s = *parsed;
    }
    const auto id = request.parameters.at("op");
    CO_TRY(
        const auto operation,
        co_await on_application(service, visible(service, request.caller, id, std::chrono::seconds{wait_s}))
    );
    co_return json_reply(200, represent(operation));
}

}  // namespace vmm::http
