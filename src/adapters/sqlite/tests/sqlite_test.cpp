#include "vmm/sqlite/store.h"

#include <sqlite3.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "vmm_test/state_store_contract.h"

namespace vmm::sqlite {
namespace {

namespace fs = std::filesystem;

class Folder {
public:
    Folder() {
        char name[] = "/tmp/vmm-sqlite-XXXXXX";
        path_ = mkdtemp(name);
    }

    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    ~Folder() { fs::remove_all(path_); }

    [[nodiscard]] fs::path operator/(const char* name) const { return path_ / name; }

private:
    fs::path path_;
};

// A store that takes its folder with it.
class Temporary final : public ports::StateStore {
public:
    Task<std::int64_t> commit(ports::Transaction transaction) override {
        return store_->commit(std::move(transaction));
    }

    Task<ports::Record> get(std::string key) override { return store_->get(std::move(key)); }

    Task<std::vector<ports::Record>> list(std::string prefix, std::string after, std::size_t limit) override {
        return store_->list(std::move(prefix), std::move(after), limit);
    }

    Task<std::int64_t> drop_expired(Timestamp at) override { return store_->drop_expired(at); }

    Task<void> check() override { return store_->check(); }

private:
    Folder folder_;
    std::unique_ptr<ports::StateStore> store_ = open(folder_ / "state.db").value();
};

}  // namespace
}  // namespace vmm::sqlite

namespace vmm::test {

INSTANTIATE_TEST_SUITE_P(Sqlite, StateStoreContract, ::testing::Values([] {
                             return std::make_unique<sqlite::Temporary>();
                         }));

}  // namespace vmm::test

namespace vmm::sqlite {
namespace {

TEST(Sqlite, KeepsItsRecordsAcrossARestart) {
    const Folder folder;
    {
        auto store = open(folder / "state.db");
        ASSERT_TRUE(store) << store.error().message();
        ASSERT_TRUE(test::run((*store)->commit({{}, {}, {{"/a", "1", {}}}, {}})));
    }
    auto store = open(folder / "state.db");
    ASSERT_TRUE(store);
    EXPECT_EQ(test::run((*store)->get("/a"))->value, "1");
}

TEST(Sqlite, IsHeldByOneProcessAtATime) {
    const Folder folder;
    auto first = open(folder / "state.db");
    ASSERT_TRUE(first);
    const auto second = open(folder / "state.db");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().slug(), "state-store-locked");
}

TEST(Sqlite, SaysWhyItsLockCannotBeOpened) {
    const Folder folder;
    std::filesystem::create_directories(folder / "state.db.lock");
    const auto store = open(folder / "state.db");
    ASSERT_FALSE(store);
    EXPECT_NE(store.error().message().find("Is a directory"), std::string::npos) << store.error().message();
}

TEST(Sqlite, RefusesWhatIsNoDatabase) {
    const Folder folder;
    std::ofstream{folder / "state.db"} << std::string(8192, 'x');
    EXPECT_FALSE(open(folder / "state.db"));
}

TEST(Sqlite, RefusesANewerLayoutAndAForeignDatabase) {
    const Folder folder;
    for (const auto& [name, sql, slug] :
         std::initializer_list<std::tuple<const char*, const char*, const char*>>{
             {"newer.db", "PRAGMA user_version=99", "state-store-newer"},
             {"foreign.db", "CREATE TABLE other(x)", "state-store-foreign"},
         }) {
        sqlite3* db = nullptr;
        ASSERT_EQ(sqlite3_open((folder / name).c_str(), &db), SQLITE_OK);
        ASSERT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK);
        sqlite3_close(db);
        const auto refused = open(folder / name);
        ASSERT_FALSE(refused) << name;
        EXPECT_EQ(refused.error().slug(), slug);
    }
}

TEST(Sqlite, SaysThatTheFolderIsMissing) {
    EXPECT_FALSE(open("/proc/nowhere/state.db"));
}

}  // namespace
}  // namespace vmm::sqlite
