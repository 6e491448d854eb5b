#include "vmm/formnet/mesh.h"

#include "vmm/base/text.h"
#include "vmm/fetch/client.h"
#include "vmm/json/value.h"
#include "vmm/json/write.h"

namespace vmm::formnet {
namespace {

constexpr auto join_limit = std::chrono::seconds{10};
constexpr auto leave_limit = std::chrono::seconds{3};  // a delete waits for it

std::unexpected<Error> refused(std::string_view why) {
    return fail(Error{Code::unavailable, "formnet does not take the machine: " + quote(why, 200)}.with_slug(
        "formnet-refused"
    ));
}

class Formnet final : public ports::Mesh {
public:
    explicit Formnet(std::string endpoint) : endpoint_{std::move(endpoint)} {}

    Task<std::string> invite(std::string vm) override {
        if (endpoint_.empty()) {
            co_return std::string{};
        }
        CO_TRY(const auto said, co_await ask("/join", "InstanceJoinRequest", std::move(vm), join_limit));
        const auto* join = said.find("Join");
        const auto* outcome = join == nullptr ? &said : join;
        if (const auto* failure = outcome->find("Failure")) {
            co_return refused(failure->text_or("reason", "no reason given"));
        }
        const auto* success = outcome->find("Success");
        co_return json::compact(success == nullptr ? *outcome : *success);
    }

    Task<void> withdraw(std::string vm) override {
        if (endpoint_.empty()) {
            co_return Result<void>{};
        }
        const auto said = co_await ask("/leave", "InstanceLeaveRequest", std::move(vm), leave_limit);
        if (!said) {
            co_return fail(said.error());
        }
        co_return Result<void>{};
    }

private:
    // The answer of the mesh to a request about the machine.
    Task<json::Value>
    ask(std::string target, std::string_view what, std::string vm, std::chrono::seconds limit) {
        CO_TRY(auto origin, fetch::parse_origin(endpoint_));
        fetch::Request request;
        request.method = "POST";
        request.target = std::move(target);
        request.headers.emplace_back("Content-Type", "application/json");
        request.body = "{\"" + std::string{what} + R"(":{"vm_id":)";
        json::append_text(request.body, vm);
        request.body.append("}}");
        const auto answer = co_await fetch::exchange(std::move(origin), std::move(request), limit);
        if (!answer) {
            co_return fail(Error{Code::unavailable, "formnet does not answer: " + answer.error().message()}
                               .with_slug("formnet-unreachable")
                               .with_hint("formnet_endpoint says where it is; empty, machines need none"));
        }
        if (answer->status >= 300) {
            co_return refused("status " + std::to_string(answer->status));
        }
        auto said = json::parse(answer->body);
        if (!said) {
            co_return refused("its answer is no JSON: " + said.error().message());
        }
        co_return std::move(*said);
    }

    std::string endpoint_;
};

}  // namespace

std::unique_ptr<ports::Mesh> create_mesh(std::string endpoint) {
    return std::make_unique<Formnet>(std::move(endpoint));
}

}  // namespace vmm::formnet
