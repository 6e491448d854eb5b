#pragma once

#include "vmm/base/error.h"
#include "vmm/base/files.h"
#include "vmm/ports/state_store.h"

#include <sqlite3.h>

#include <filesystem>
#include <memory>

namespace vmm::sqlite {

// The database itself. Used by one thread at a time.
class Engine {
public:
    static Result<std::unique_ptr<Engine>> open(const std::filesystem::path& file);
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;
    ~Engine();

    // A batch of transactions shares one commit: begin, any number of apply, then commit or roll back.
    Result<void> begin(ports::Outlives outlives);
    Result<std::int64_t> apply(const ports::Transaction& transaction);
    Result<void> commit();
    void roll_back();

    Result<ports::Record> get(const std::string& key, Timestamp at);
    Result<std::vector<ports::Record>>
    list(const std::string& prefix, const std::string& after, std::size_t limit, Timestamp at);
    Result<std::int64_t> drop_expired(Timestamp at);

private:
    struct Close {
        void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
    };

    struct Finish {
        void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
    };

    using Statement = std::unique_ptr<sqlite3_stmt, Finish>;

    Engine() = default;
    Result<void> run(const char* sql);
    Result<Statement> prepare(std::string_view sql);
    Result<void> prepare_all();
    Result<void> check_schema();
    Result<std::int64_t> scalar(const char* sql);
    Result<void> step_done(sqlite3_stmt* statement);
    Result<std::int64_t> revision_of(const std::string& key);
    Error error(std::string_view what) const;

    Fd lock_;
    std::unique_ptr<sqlite3, Close> db_;
    Statement select_, revision_, upsert_, remove_, list_, expire_;
    ports::Outlives outlives_ = ports::Outlives::power_loss;  // the synchronous mode in force
    std::int64_t last_revision_ = 0;
    std::int64_t committed_revision_ = 0;
};

}  // namespace vmm::sqlite
