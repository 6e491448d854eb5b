#include "vmm/app/guests.h"

#include "vmm/base/text.h"
#include "vmm/wire/guests.h"

#include <boost/asio/post.hpp>

#include "handlers.h"
#include "reply.h"

namespace vmm::http {
namespace {

// One line of the answer: text where it is text, base 64 where it is not.
std::string line_of(const app::ExecPiece& piece) {
    wire::ExecLine line;
    if (piece.kind == app::ExecPiece::Kind::ended) {
        line.exit_status = piece.status;
        line.signal = piece.signal;
        line.timed_out = piece.timed_out;
    } else {
        line.stream = piece.kind == app::ExecPiece::Kind::output ? "stdout" : "stderr";
        line.data_base64 = to_base64(piece.data);
    }
    return json::encode(line) + "\n";
}

Task<app::ExecPiece> next_piece(std::shared_ptr<app::Exec> exec) {
    co_return co_await exec->next();
}

Task<std::string> next_part(std::shared_ptr<app::GuestFile> file) {
    co_return co_await file->next();
}

// Whatever is used on the application's executor is also let go of there.
template <class T>
std::shared_ptr<T> let_go_there(const Service& service, std::shared_ptr<T> value) {
    auto* raw = value.get();
    return std::shared_ptr<T>{raw, [value = std::move(value), executor = service.application](T*) mutable {
                                  asio::post(executor, [value = std::move(value)] {});
                              }};
}

}  // namespace

Task<Reply> exec_vm(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(auto wanted, body_of<wire::Exec>(request));
    if (wanted.argv.empty() || wanted.argv.size() > 256 || wanted.argv.front().empty()) {
        co_return invalid("argv", "expected the program and its words, 256 at most");
    }
    for (const auto& word : wanted.argv) {
        if (word.contains('\0')) {
            co_return invalid("argv", "a word has a zero byte");
        }
    }
    app::ExecOrder order;
    order.argv = std::move(wanted.argv);
    order.input = wanted.stdin.value_or("");
    if (wanted.stdin_base64) {
        const auto bytes = from_base64(*wanted.stdin_base64);
        if (!bytes) {
            co_return invalid("stdin_base64", "expected base 64");
        }
        order.input = *bytes;
    }
    order.timeout_s = wanted.timeout_s.value_or(order.timeout_s);
    if (order.timeout_s < 1 || order.timeout_s > 3600) {
        co_return invalid("timeout_s", "expected 1 to 3600, found " + std::to_string(order.timeout_s));
    }
    const auto id = request.parameters.at("id");
    CO_TRY(
        auto exec, co_await on_application(service, service.guests.exec(request.caller, id, std::move(order)))
    );
    Reply reply;
    reply.content_type = "application/x-ndjson";
    reply.pieces = [&service, exec = let_go_there(service, std::move(exec)), over = false](
                   ) mutable -> Task<std::string> {
        return [](Service& from, std::shared_ptr<app::Exec> running, bool& ended) -> Task<std::string> {
            if (ended) {
                co_return std::string{};
            }
            const auto piece = co_await on_application(from, next_piece(running));
            if (!piece) {
                ended = true;
                wire::ExecLine line;
                line.error = piece.error().message();
                co_return json::encode(line) + "\n";
            }
            ended = piece->kind == app::ExecPiece::Kind::ended;
            co_return line_of(*piece);
        }(service, exec, over);
    };
    co_return reply;
}

Task<Reply> push_file(Service& service, Request& request) {
    CO_CHECK(check_query(request, {"path"}));
    const auto* path = query(request, "path");
    if (path == nullptr) {
        co_return invalid("path", "is required: the file's absolute path in the guest");
    }
    const auto id = request.parameters.at("id");
    CO_CHECK(co_await on_application(
        service, service.guests.push(request.caller, id, *path, std::move(request.body))
    ));
    co_return gone();
}

Task<Reply> pull_file(Service& service, Request& request) {
    CO_CHECK(check_query(request, {"path"}));
    const auto* path = query(request, "path");
    if (path == nullptr) {
        co_return invalid("path", "is required: the file's absolute path in the guest");
    }
    const auto id = request.parameters.at("id");
    CO_TRY(auto file, co_await on_application(service, service.guests.pull(request.caller, id, *path)));
    Reply reply;
    reply.content_type = "application/octet-stream";
    reply.pieces = [&service, file = let_go_there(service, std::move(file))]() -> Task<std::string> {
        return [](Service& from, std::shared_ptr<app::GuestFile> open) -> Task<std::string> {
            co_return co_await on_application(from, next_part(open));
        }(service, file);
    };
    co_return reply;
}

Task<Reply> add_ssh_keys(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(auto wanted, body_of<wire::AddSshKeys>(request));
    const auto id = request.parameters.at("id");
    auto adding =
        service.guests.add_ssh_keys(request.caller, id, wanted.user.value_or("root"), std::move(wanted.keys));
    CO_CHECK(co_await on_application(service, std::move(adding)));
    co_return gone();
}

Task<Reply> show_guest(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    const auto id = request.parameters.at("id");
    CO_TRY(const auto facts, co_await on_application(service, service.guests.facts(request.caller, id)));
    wire::Guest out;
    out.os = facts.os;
    out.kernel = facts.kernel;
    out.hostname = facts.hostname;
    for (const auto& interface : facts.interfaces) {
        out.interfaces.push_back({interface.name, interface.mac, interface.addresses});
    }
    co_return json_reply(200, out);
}

Task<Reply> explain_vm(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    const auto id = request.parameters.at("id");
    CO_TRY(const auto found, co_await on_application(service, service.guests.explain(request.caller, id)));
    const auto unless_empty = [](const std::string& text) {
        return text.empty() ? std::nullopt : std::optional{text};
    };
    wire::Explanation out;
    out.status = found.status;
    out.stage = unless_empty(found.stage);
    if (found.since) {
        out.since = rfc3339(*found.since);
    }
    out.waiting_for = unless_empty(found.waiting_for);
    out.last_seen = unless_empty(found.last_seen);
    out.last_console_line = unless_empty(found.last_console_line);
    out.advice = found.advice;
    out.problems = found.problems;
    out.agent = found.agent;
    co_return json_reply(200, out);
}

}  // namespace vmm::http
