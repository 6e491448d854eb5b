#include "vmm/base/text.h"
#include "vmm/json/encode.h"
#include "vmm/proofs/ledger_json.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "handlers.h"
#include "reply.h"

// The ledger as it is read.
namespace vmm::http {
namespace {

std::string text_or_empty(const std::string* text) {
    return text == nullptr ? std::string{} : *text;
}

Result<app::Ledger::Filter> filter_of(const Service& service, const Request& request) {
    app::Ledger::Filter filter;
    if (!request.caller.administrator) {
        filter.address = request.caller.address.text();
    }
    if (const auto* text = query(request, "address")) {
        const auto address = service.world.signatures.parse_address(*text);
        if (!address) {
            return invalid("address", address.error().message());
        }
        if (!request.caller.administrator && *address != request.caller.address) {
            return fail(Error{Code::forbidden, "only administrators read the records of others"}
                            .with_slug("not-administrator")
                            .with_field("address"));
        }
        filter.address = address->text();
    }
    filter.about = text_or_empty(query(request, "about"));
    filter.outcome = text_or_empty(query(request, "outcome"));
    static constexpr std::array<std::string_view, 5> outcomes{
        "", "allowed", "denied", "refused", "interrupted"
    };
    if (std::ranges::find(outcomes, filter.outcome) == outcomes.end()) {
        return invalid(
            "outcome", "expected allowed, denied, refused or interrupted, found " + quote(filter.outcome)
        );
    }
    return filter;
}

}  // namespace

Task<Reply> list_audit(Service& service, Request& request) {
    CO_CHECK(check_query(request, {"limit", "cursor", "address", "about", "outcome"}));
    CO_TRY(const auto limit, query_limit(request));
    CO_TRY(auto filter, filter_of(service, request));
    std::int64_t before = 0;
    if (const auto* text = query(request, "cursor")) {
        const auto parsed = parse_number<std::int64_t>(*text);
        if (!parsed || *parsed < 1) {
            co_return invalid("cursor", "expected the next_cursor of an earlier page");
        }
        before = *parsed;
    }
    CO_TRY(
        const auto page,
        co_await on_application(service, service.ledger.page(std::move(filter), before, limit))
    );
    Reply reply;
    reply.body.append(R"({"records":[)");
    for (const auto& record : page.records) {
        reply.body.append(&record == &page.records.front() ? "" : ",").append(proofs::write(record));
    }
    reply.body.append(R"(],"next_cursor":)");
    reply.body.append(page.next > 0 ? "\"" + std::to_string(page.next) + "\"}" : "null}");
    co_return reply;
}

Task<Reply> show_audit_head(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto head, co_await on_application(service, service.ledger.head()));
    co_return json_reply(200, head);
}

Task<Reply> export_audit(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto file, co_await on_application(service, service.ledger.export_all()));
    struct stat info{};
    if (::fstat(file->get(), &info) != 0) {
        co_return fail(os_error("reading the export"));
    }
    Reply reply;
    reply.content_type = "application/jsonl";
    reply.file = std::make_shared<FilePart>();
    reply.file->file = std::move(*file);
    reply.file->bytes = static_cast<std::uint64_t>(info.st_size);
    co_return reply;
}

}  // namespace vmm::http
