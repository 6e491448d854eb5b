#include "vmm/app/fleet.h"
#include "vmm/http/service.h"
#include "vmm/http/status.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "reply.h"
#include "routes.h"
#include "session.h"

namespace vmm::http {
namespace {

TEST(Routes, AreUniqueAndLiteralRowsComeBeforeParameters) {
    std::set<std::pair<std::string_view, std::string_view>> seen;
    for (const auto& route : routes()) {
        EXPECT_TRUE(seen.emplace(route.method, route.pattern).second) << route.method << " " << route.pattern;
        EXPECT_FALSE(route.summary.empty());
    }
    const auto at = [](std::string_view method, std::string_view pattern) {
        const auto all = routes();
        return std::ranges::find_if(
                   all, [&](const Route& r) { return r.method == method && r.pattern == pattern; }
               ) -
               all.begin();
    };
    EXPECT_LT(at("GET", "/vms/list"), at("GET", "/vms/{id}"));
}

// What a path names decides what its rule must be about.
TEST(Routes, HaveARuleAboutWhatTheirPathNames) {
    using Kind = Access::Kind;
    for (const auto& route : routes()) {
        const auto kind = route.access.kind();
        const auto expect = [&route](std::string_view parameter, bool ruled) {
            EXPECT_EQ(route.pattern.contains(parameter), ruled) << route.method << " " << route.pattern;
        };
        expect("{id}", kind == Kind::machine || kind == Kind::receiver);
        expect("{team}", kind == Kind::team);
        expect("{name}", kind == Kind::image);
        expect("{volume}", kind == Kind::volume);
        expect("{op}", kind == Kind::operation);
        if (kind == Kind::account || route.access.allows_self()) {
            expect("{address}", true);
        }
    }
}

TEST(Routes, OnlyFourAreForAnyone) {
    for (const auto& route : routes()) {
        const bool open = route.pattern == "/health" || route.pattern == "/vm/boot_complete" ||
                          route.pattern == "/auth/nonce" || route.pattern == "/auth/login";
        EXPECT_EQ(open, route.access.kind() == Access::Kind::anyone) << route.pattern;
    }
}

// GET and POST are signed alike, so a POST beside a GET must be told apart by its body.
TEST(Routes, PostsBesideGetsTakeABody) {
    for (const auto& post : routes()) {
        for (const auto& get : routes()) {
            if (post.method == "POST" && get.method == "GET" && post.pattern == get.pattern) {
                EXPECT_FALSE(post.body.empty()) << post.pattern;
            }
        }
    }
}

TEST(Routes, AskForTheRoleThatTheJobNeeds) {
    for (const auto& [path, job] : std::initializer_list<std::pair<std::string_view, domain::Job>>{
             {"/vms/{id}/start", domain::Job::start},
             {"/vms/{id}/stop", domain::Job::stop},
             {"/vms/{id}/restart", domain::Job::restart},
             {"/vms/{id}/pause", domain::Job::pause},
             {"/vms/{id}/resume", domain::Job::resume},
             {"/vm/{id}/delete", domain::Job::remove},
         }) {
        const auto all = routes();
        const auto row = std::ranges::find_if(all, [path](const Route& r) { return r.pattern == path; });
        ASSERT_NE(row, all.end()) << path;
        EXPECT_EQ(row->access.action(), app::action_of(job)) << path;
    }
}

TEST(OpenApi, IsJsonAndNamesEveryRoute) {
    const auto document = json::parse(openapi_document("1"));
    ASSERT_TRUE(document) << document.error().message();
    const auto* paths = document->find("paths");
    for (const auto& route : routes()) {
        const auto* path = paths->find(route.pattern);
        ASSERT_NE(path, nullptr) << route.pattern;
        std::string method{route.method};
        std::ranges::transform(method, method.begin(), [](char c) {
            return static_cast<char>(c - 'A' + 'a');
        });
        EXPECT_NE(path->find(method), nullptr) << route.pattern;
        for (const auto schema : {route.body, route.answer}) {
            EXPECT_TRUE(
                schema.empty() || document->find("components")->find("schemas")->find(schema) != nullptr
            ) << schema;
        }
    }
}

TEST(Problems, CarryStatusHeadersAndNoEmptyMembers) {
    const auto reply = problem(Error{Code::unavailable, "later"}.with_retry_after(7), "req-1");
    EXPECT_EQ(reply.status, 503);
    EXPECT_EQ(reply.headers.front(), (std::pair<std::string, std::string>{"Retry-After", "7"}));
    EXPECT_EQ(reply.body.find("null"), std::string::npos);
    EXPECT_NE(reply.body.find(R"("request_id":"req-1")"), std::string::npos);
}

TEST(IfMatch, ReadsAnETagOrRefuses) {
    Request request;
    EXPECT_EQ(*if_match(request), std::nullopt);
    request.headers = {{"if-match", "\"12\""}};
    EXPECT_EQ(*if_match(request), 12);
    request.headers = {{"if-match", "*"}};
    EXPECT_EQ(*if_match(request), std::nullopt);
    for (const auto* bad : {"12", "\"\"", "\"x\"", "W/\"1\""}) {
        request.headers = {{"if-match", bad}};
        EXPECT_FALSE(if_match(request)) << bad;
    }
}

TEST(Render, GivesTheStatusOfTheJob) {
    domain::Operation operation;
    domain::Vm vm;
    vm.revision = 4;
    EXPECT_EQ(render(operation, &vm).status, 201);
    EXPECT_EQ(render(operation, &vm).etag, "\"4\"");
    operation.kind = domain::Job::stop;
    EXPECT_EQ(render(operation, &vm).status, 200);
    EXPECT_EQ(render(operation, nullptr).status, 204);
    operation.error = Error{Code::conflict, "no"};
    EXPECT_EQ(render(operation, nullptr).status, 409);
}

}  // namespace
}  // namespace vmm::http
