#pragma once

#include "vmm/ports/state_store.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "vmm_test/run.h"

namespace vmm::test {

// What every StateStore promises. Each engine instantiates it with a way to open an empty store.
class StateStoreContract
    : public ::testing::TestWithParam<std::function<std::unique_ptr<ports::StateStore>()>> {
protected:
    Result<std::int64_t> commit(
        std::vector<ports::Expectation> expect,
        std::vector<ports::Put> puts,
        std::vector<std::string> removes = {}
    ) {
        return run(store->commit({{}, std::move(expect), std::move(puts), std::move(removes)}));
    }

    std::unique_ptr<ports::StateStore> store = GetParam()();
};

TEST_P(StateStoreContract, ReturnsWhatWasPutWithItsRevision) {
    const auto first = commit({}, {{"/a", "1", {}}});
    const auto second = commit({}, {{"/b", std::string("\0x", 2), {}}});
    ASSERT_TRUE(first && second);
    EXPECT_GT(*second, *first);
    const auto record = run(store->get("/b"));
    ASSERT_TRUE(record);
    EXPECT_EQ(record->value, std::string("\0x", 2));
    EXPECT_EQ(record->revision, *second);
    EXPECT_EQ(run(store->get("/c")).error().code(), Code::not_found);
}

TEST_P(StateStoreContract, ChangesNothingWhenAnExpectationFails) {
    const auto made = commit({{"/a", 0}}, {{"/a", "1", {}}});
    ASSERT_TRUE(made);
    const auto again = commit({{"/a", 0}}, {{"/a", "2", {}}, {"/b", "2", {}}});
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().slug(), "store-conflict");
    EXPECT_EQ(again.error().field(), "/a");
    EXPECT_EQ(run(store->get("/a"))->value, "1");
    EXPECT_FALSE(run(store->get("/b")));
    EXPECT_TRUE(commit({{"/a", *made}}, {{"/a", "3", {}}}));
    EXPECT_FALSE(commit({{"/a", *made}}, {{"/a", "4", {}}}));
}

TEST_P(StateStoreContract, RemovesAndPutsInOneTransaction) {
    ASSERT_TRUE(commit({}, {{"/old", "1", {}}}));
    ASSERT_TRUE(commit({}, {{"/new", "1", {}}}, {"/old"}));
    EXPECT_FALSE(run(store->get("/old")));
    EXPECT_TRUE(run(store->get("/new")));
}

TEST_P(StateStoreContract, ListsAPrefixInOrderAndInPages) {
    ASSERT_TRUE(
        commit({}, {{"/v/2", "", {}}, {"/v/1", "", {}}, {"/v/3", "", {}}, {"/w/1", "", {}}, {"/v", "", {}}})
    );
    const auto page = run(store->list("/v/", "", 2));
    ASSERT_TRUE(page);
    ASSERT_EQ(page->size(), 2U);
    EXPECT_EQ((*page)[1].key, "/v/2");
    const auto rest = run(store->list("/v/", "/v/2", 10));
    ASSERT_EQ(rest->size(), 1U);
    EXPECT_EQ(rest->front().key, "/v/3");
}

TEST_P(StateStoreContract, HidesAndForgetsWhatHasExpired) {
    ASSERT_TRUE(commit({}, {{"/n/1", "", Timestamp{1}}, {"/n/2", "", now().plus(std::chrono::hours{1})}}));
    EXPECT_FALSE(run(store->get("/n/1")));
    EXPECT_EQ(run(store->list("/n/", "", 10))->size(), 1U);
    EXPECT_EQ(run(store->drop_expired(now())), 1);
}

TEST_P(StateStoreContract, ChecksItself) {
    EXPECT_TRUE(run(store->check()));
}

}  // namespace vmm::test
