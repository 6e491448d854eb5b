#include "actions.h"

#include "reply.h"
#include "represent.h"

namespace vmm::http {
namespace {

bool wants_async(const Request& request) {
    const auto* prefer = request.header("prefer");
    return prefer != nullptr && prefer->contains("respond-async");
}

Reply accepted(const domain::Operation& operation) {
    auto reply = json_reply(202, represent(operation));
    reply.headers.emplace_back("Location", "/operations/" + operation.id);
    return reply;
}

Reply first_answer(const app::Answer& answer) {
    Reply reply;
    reply.status = answer.status;
    reply.body = answer.body;
    reply.content_type = answer.status >= 400 ? "application/problem+json" : "application/json";
    if (!answer.etag.empty()) {
        reply.headers.emplace_back("ETag", answer.etag);
    }
    reply.headers.emplace_back("Idempotency-Replayed", "true");
    return reply;
}

// A job that was begun, as far as it has come.
struct Seen {
    app::Begun begun;
    domain::Operation operation;
    app::Answer answer;  // once it has succeeded
};

// Begins a job and waits for its end, all on the application's executor: one way there and one back.
Task<Seen> see_through(Service& service, Task<app::Begun> beginning, std::chrono::milliseconds limit) {
    Seen seen;
    CO_TRY(seen.begun, co_await std::move(beginning));
    if (seen.begun.first_answer) {
        co_return seen;
    }
    CO_TRY(seen.operation, co_await service.world.operations.wait(seen.begun.operation, limit));
    if (seen.operation.status == domain::Progress::succeeded) {
        if (domain::makes_image(seen.operation.kind)) {
            CO_TRY(seen.answer, co_await service.images.answer(seen.operation));
        } else {
            CO_TRY(seen.answer, co_await service.fleet.answer(seen.operation));
        }
    }
    co_return seen;
}

}  // namespace

Task<Reply> conclude(Service& service, Request& request, Task<app::Begun> beginning) {
    const auto limit = wants_async(request) ? std::chrono::milliseconds{0} : service.request_timeout;
    CO_TRY(
        const auto seen, co_await on_application(service, see_through(service, std::move(beginning), limit))
    );
    if (seen.begun.first_answer) {
        co_return first_answer(*seen.begun.first_answer);
    }
    if (!domain::ended(seen.operation.status) || wants_async(request)) {
        co_return accepted(seen.operation);
    }
    if (seen.operation.error) {
        co_return std::unexpected{*seen.operation.error};
    }
    Reply reply;
    reply.status = seen.answer.status;
    reply.body = seen.answer.body;
    if (!seen.answer.etag.empty()) {
        reply.headers.emplace_back("ETag", seen.answer.etag);
    }
    const auto& operation = seen.operation;
    if (operation.kind == domain::Job::create || operation.kind == domain::Job::clone) {
        reply.headers.emplace_back("Location", "/vms/" + operation.target);
    } else if (operation.kind == domain::Job::attach) {
        reply.headers.emplace_back("Location", "/vms/" + operation.target + "/disks/" + operation.disk);
    } else if (domain::makes_image(operation.kind)) {
        reply.headers.emplace_back("Location", "/images/" + operation.target);
    }
    co_return reply;
}

}  // namespace vmm::http
