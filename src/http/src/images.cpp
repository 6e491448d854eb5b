#include "vmm/app/images.h"

#include "vmm/base/text.h"
#include "vmm/wire/messages.h"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "actions.h"
#include "handlers.h"
#include "reply.h"
#include "represent.h"

namespace vmm::http {
namespace {

constexpr std::size_t piece = 1 << 20;

// "bytes 100-199/1000"; absent for a body that is the whole.
struct Range {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::uint64_t total = 0;
};

Result<std::optional<Range>> content_range(const Request& request) {
    const auto* text = request.header("content-range");
    if (text == nullptr) {
        return std::optional<Range>{};
    }
    const auto dash = text->find('-');
    const auto slash = text->find('/');
    if (text->starts_with("bytes ") && dash != std::string::npos && slash != std::string::npos &&
        dash < slash) {
        const std::string_view all{*text};
        const auto first = parse_number<std::uint64_t>(all.substr(6, dash - 6));
        const auto last = parse_number<std::uint64_t>(all.substr(dash + 1, slash - dash - 1));
        const auto total = parse_number<std::uint64_t>(all.substr(slash + 1));
        if (first && last && total && *first <= *last && *last < *total) {
            return std::optional{Range{*first, *last, *total}};
        }
    }
    return fail(Error{Code::malformed, "expected bytes FIRST-LAST/TOTAL, found " + quote(*text)}.with_field(
        "Content-Range"
    ));
}

std::optional<std::string> query_text(const Request& request, std::string_view name) {
    const auto* text = query(request, name);
    return text == nullptr ? std::nullopt : std::optional{*text};
}

// Reads until the block is full or the body ends.
Task<std::size_t> fill(BodyReader& reader, std::string& block) {
    std::size_t have = 0;
    while (have < block.size()) {
        CO_TRY(const auto got, co_await reader.read(block.data() + have, block.size() - have));
        if (got == 0) {
            break;
        }
        have += got;
    }
    co_return have;
}

// Takes the body in; while one block is hashed and written, the next is read. Returns how many bytes came.
Task<std::uint64_t> take_in(Request& request, ports::Incoming& incoming, std::uint64_t most) {
    using boost::asio::experimental::awaitable_operators::operator&&;
    std::array<std::string, 2> blocks{std::string(piece, '\0'), std::string(piece, '\0')};
    std::uint64_t taken = 0;
    CO_TRY(auto have, co_await fill(*request.reader, blocks[0]));
    for (std::size_t turn = 0; have > 0; turn = 1 - turn) {
        taken += have;
        if (taken > most) {
            co_return fail(
                Error{Code::malformed, "the body is longer than its range says"}.with_field("Content-Range")
            );
        }
        auto storing = incoming.append({blocks[turn].data(), have});
        auto reading = fill(*request.reader, blocks[1 - turn]);
        auto both = std::move(storing) && std::move(reading);
        auto [stored, next] = co_await std::move(both);
        CO_CHECK(stored);
        CO_TRY(have, std::move(next));
    }
    co_return taken;
}

// Ends an upload whose bytes are all here.
Task<Reply> finish_upload(Service& service, Request& request, app::Upload& upload, const std::string& name) {
    auto sha256 = co_await upload.incoming->finish();
    upload.incoming.reset();
    if (!sha256) {
        (void)co_await on_application(service, service.images.pause_upload(name));
        co_return std::unexpected{std::move(sha256).error()};
    }
    auto ticket = request.ticket;
    ticket.replay_key.clear();  // stored when the upload began
    auto finishing =
        service.images.finish_upload(request.caller, name, *std::move(sha256), std::move(ticket));
    co_return co_await conclude(service, request, std::move(finishing));
}

Result<app::UploadOrder> upload_order(const Request& request, const std::optional<Range>& range) {
    CHECK(check_query(request, {"name", "sha256", "visibility"}));
    app::UploadOrder order;
    const auto* name = query(request, "name");
    if (name == nullptr) {
        return invalid("name", "is required in the query: POST /images?name=NAME");
    }
    order.name = *name;
    order.sha256 = query_text(request, "sha256").value_or(*request.header("x-content-sha256"));
    TRY(order.is_public, wants_public(query_text(request, "visibility")));
    const auto length = request.reader->length();
    if (!range && query(request, "sha256") != nullptr &&
        order.sha256 != *request.header("x-content-sha256")) {
        return invalid(
            "sha256", "differs from X-Content-SHA256, and there is no Content-Range that would say why"
        );
    }
    if (range && query(request, "sha256") == nullptr) {
        return invalid("sha256", "with Content-Range the query says the SHA-256 of the whole: ?sha256=");
    }
    if (range && length && *length != range->last - range->first + 1) {
        return fail(
            Error{Code::malformed, "Content-Length and Content-Range disagree"}.with_field("Content-Range")
        );
    }
    order.offset = range ? range->first : 0;
    order.goes_on = range.has_value();
    if (range) {
        order.total = range->total;
    } else if (length) {
        order.total = *length;
    } else {
        return fail(Error{Code::malformed, "an upload needs Content-Length, or Content-Range"}.with_field(
            "Content-Length"
        ));
    }
    return order;
}

// What an earlier request with the same Idempotency-Key has begun.
Task<app::Begun> already(app::Begun begun) {
    co_return begun;
}

Task<Reply> upload(Service& service, Request& request) {
    CO_TRY(const auto range, content_range(request));
    CO_TRY(auto order, upload_order(request, range));
    const auto name = order.name;
    const auto total = order.total;
    const auto expected = range ? range->last - range->first + 1 : total;
    CO_TRY(
        auto begun,
        co_await on_application(
            service, service.images.begin_upload(request.caller, std::move(order), request.ticket)
        )
    );
    if (begun.before) {
        co_return co_await conclude(service, request, already(*std::move(begun.before)));
    }
    if (!begun.incoming) {
        auto reply = json_reply(201, represent(begun.image));
        reply.headers.emplace_back("Location", "/images/" + name);
        co_return reply;
    }
    if (begun.incoming->bytes() == total) {
        // An earlier attempt has sent it all and did not see the end.
        co_return co_await finish_upload(service, request, begun, name);
    }
    if (range) {
        begun.incoming->begin_part();
    }
    auto taken = co_await take_in(request, *begun.incoming, expected);
    if (!taken || *taken < expected) {
        const bool broke_off = !taken && taken.error().slug() == "body-cut-off";
        const bool full = !taken && taken.error().slug() == "no-space";
        begun.incoming.reset();
        // What came stays for a day, for an attempt that goes on from there.
        if (broke_off || taken || full) {
            (void)co_await on_application(service, service.images.pause_upload(name));
        } else {
            (void)co_await on_application(service, service.images.abandon_upload(name));
        }
        co_return taken ? fail(Error{Code::malformed, "the body broke off"}.with_slug("body-cut-off"))
                        : std::unexpected{std::move(taken).error()};
    }
    if (range) {
        CO_TRY(const auto part, co_await begun.incoming->finish_part());
        if (part != *request.header("x-content-sha256")) {
            begun.incoming.reset();
            (void)co_await on_application(service, service.images.abandon_upload(name));
            co_return fail(Error{
                Code::malformed, "the part that came has another SHA-256; nothing of the image was kept"
            }
                               .with_slug("content-hash-mismatch")
                               .with_field("X-Content-SHA256"));
        }
    }
    if (begun.incoming->bytes() < total) {
        begun.incoming.reset();
        (void)co_await on_application(service, service.images.pause_upload(name));
        CO_TRY(const auto image, co_await on_application(service, service.images.show(request.caller, name)));
        co_return json_reply(202, represent(image));
    }
    co_return co_await finish_upload(service, request, begun, name);
}

}  // namespace

Task<Reply> list_images(Service& service, Request& request) {
    CO_CHECK(check_query(request, {"limit", "cursor", "status"}));
    CO_TRY(const auto limit, query_limit(request));
    const auto cursor = query_text(request, "cursor").value_or("");
    const auto status = query_text(request, "status");
    if (status && !domain::image_status_named(*status)) {
        co_return invalid("status", quote(*status) + " is no status of an image");
    }
    CO_TRY(const auto all, co_await on_application(service, service.images.list(request.caller)));
    wire::ImageList list;
    for (const auto& view : all) {
        if (view.image.name <= cursor || (status && name(view.image.status) != *status)) {
            continue;
        }
        if (list.images.size() == limit) {
            list.next_cursor = list.images.back().name;
            break;
        }
        list.images.push_back(represent(view));
    }
    co_return json_reply(200, list);
}

Task<Reply> show_image(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(
        const auto view,
        co_await on_application(service, service.images.show(request.caller, request.parameters.at("name")))
    );
    co_return json_reply(200, represent(view));
}

Task<Reply> bring_image(Service& service, Request& request) {
    if (request.reader != nullptr) {
        co_return co_await upload(service, request);
    }
    CO_CHECK(check_query(request, {}));
    CO_TRY(auto wanted, body_of<wire::ImportImage>(request));
    app::ImportOrder order;
    order.name = std::move(wanted.name);
    order.url = wanted.url.value_or("");
    order.path = wanted.path.value_or("");
    order.sha256 = wanted.sha256.value_or("");
    order.root = wanted.root.value_or("");
    CO_TRY(order.is_public, wants_public(wanted.visibility));
    co_return co_await conclude(
        service, request, service.images.import(request.caller, std::move(order), request.ticket)
    );
}

Task<Reply> delete_image(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_CHECK(body_of<wire::Nothing>(request));
    const auto name = request.parameters.at("name");
    CO_CHECK(co_await on_application(service, service.images.remove(request.caller, name, request.ticket)));
    Reply reply;
    reply.status = 204;
    co_return reply;
}

Task<Reply> download_image(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(
        const auto found,
        co_await on_application(service, service.images.file(request.caller, request.parameters.at("name")))
    );
    auto part = std::make_shared<FilePart>();
    part->file = Fd{::open(found.path.c_str(), O_RDONLY | O_CLOEXEC)};
    struct stat info{};
    if (!part->file || ::fstat(part->file.get(), &info) != 0) {
        co_return fail(Code::unavailable, "the image's file cannot be read");
    }
    const auto size = static_cast<std::uint64_t>(info.st_size);
    part->bytes = size;
    Reply reply;
    reply.content_type = "application/octet-stream";
    reply.headers.emplace_back("Accept-Ranges", "bytes");
    reply.headers.emplace_back("X-Image-Format", found.format);
    if (!found.sha256.empty()) {
        reply.headers.emplace_back("ETag", "\"" + found.sha256 + "\"");
    }
    if (const auto* wanted = request.header("range"); wanted != nullptr && wanted->starts_with("bytes=")) {
        const auto text = std::string_view{*wanted}.substr(6);
        const auto dash = text.find('-');
        const auto first = parse_number<std::uint64_t>(text.substr(0, dash));
        const auto last = dash == std::string_view::npos || dash + 1 == text.size()
                              ? std::optional{size - 1}
                              : parse_number<std::uint64_t>(text.substr(dash + 1));
        if (!first || !last || *first >= size || *last < *first) {
            reply.status = 416;
            reply.headers.emplace_back("Content-Range", "bytes */" + std::to_string(size));
            co_return reply;
        }
        part->offset = *first;
        part->bytes = std::min(*last, size - 1) - *first + 1;
        reply.status = 206;
        reply.headers.emplace_back(
            "Content-Range",
            "bytes " + std::to_string(*first) + "-" + std::to_string(*first + part->bytes - 1) + "/" +
                std::to_string(size)
        );
    }
    reply.file = std::move(part);
    co_return reply;
}

}  // namespace vmm::http
