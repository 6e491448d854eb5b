#include "engine.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

namespace vmm::sqlite {
namespace {

constexpr int layout_version = 1;
// How long a database may stay locked: as long as a killed service's last child takes to become a program.
// Tries, not a time: a host that stands still holds up the child, too.
constexpr int lock_tries = 300;
constexpr auto lock_pause = std::chrono::milliseconds{10};
// Above every number that a child's own descriptors get, so that it holds the lock until it runs a program.
constexpr int lock_number = 64;
constexpr int wal_pages = 1000;  // after which SQLite moves the log into the database; its default

// Waits a little for whoever has it.
bool take_lock(int file) {
    for (int tries = 1; ::flock(file, LOCK_EX | LOCK_NB) != 0; ++tries) {
        if (errno != EWOULDBLOCK || tries == lock_tries) {
            return false;
        }
        std::this_thread::sleep_for(lock_pause);
    }
    return true;
}

void bind_text(sqlite3_stmt* statement, int at, std::string_view text) {
    sqlite3_bind_text(statement, at, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
}

// Gives a prepared statement back clean, whatever happened.
class Use {
public:
    explicit Use(sqlite3_stmt* statement) : statement_{statement} {}

    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

    ~Use() {
        sqlite3_reset(statement_);
        sqlite3_clear_bindings(statement_);
    }

private:
    sqlite3_stmt* statement_;
};

std::string text_column(sqlite3_stmt* statement, int column) {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_blob(statement, column));
    return {text == nullptr ? "" : text, static_cast<std::size_t>(sqlite3_column_bytes(statement, column))};
}

ports::Record row(sqlite3_stmt* statement) {
    ports::Record record{
        text_column(statement, 0), text_column(statement, 1), sqlite3_column_int64(statement, 2), {}
    };
    if (sqlite3_column_type(statement, 3) != SQLITE_NULL) {
        record.expires_at = Timestamp{sqlite3_column_int64(statement, 3)};
    }
    return record;
}

// Writes the log out to its full size once, so that a commit overwrites blocks that exist: waiting for the
// disk then takes half as long as when the file grows. What lies behind the log's own end is not read. A log
// that cannot be laid out, for lack of room, only stays slower.
void lay_out(const std::string& log) {
    constexpr off_t full = static_cast<off_t>(wal_pages + 200) * (4096 + 24);
    const Fd fd{::open(log.c_str(), O_WRONLY | O_CLOEXEC)};
    struct stat info{};
    if (!fd || ::fstat(fd.get(), &info) != 0 || info.st_size >= full) {
        return;
    }
    struct statvfs room{};
    if (::fstatvfs(fd.get(), &room) != 0 || static_cast<off_t>(room.f_bavail * room.f_frsize) < 16 * full) {
        return;
    }
    const std::vector<char> zeros(1 << 18);
    for (off_t at = info.st_size; at < full;) {
        const auto written = ::pwrite(fd.get(), zeros.data(), zeros.size(), at);
        if (written <= 0) {
            return;
        }
        at += written;
    }
    (void)::fdatasync(fd.get());
}

// The first key after all that begin with this prefix.
std::string end_of(std::string prefix) {
    if (!prefix.empty()) {
        ++prefix.back();
    }
    return prefix;
}

}  // namespace

Engine::~Engine() = default;

Error Engine::error(std::string_view what) const {
    const int code = db_ ? sqlite3_errcode(db_.get()) : SQLITE_CANTOPEN;
    std::string message{"the state store failed while "};
    message.append(what).append(": ").append(db_ ? sqlite3_errmsg(db_.get()) : "out of memory");
    Error error{Code::unavailable, std::move(message)};
    if (code == SQLITE_FULL || (code == SQLITE_IOERR && sqlite3_system_errno(db_.get()) == ENOSPC)) {
        return std::move(error).with_slug("no-space").with_retry_after(10);
    }
    return std::move(error).with_slug("state-store-unavailable").with_retry_after(5);
}

Result<std::unique_ptr<Engine>> Engine::open(const std::filesystem::path& file) {
    std::unique_ptr<Engine> engine{new Engine};
    std::error_code ignored;
    std::filesystem::create_directories(file.parent_path(), ignored);
    // The lock is on a file of its own: closing any descriptor of the database would drop SQLite's own locks.
    const Fd lock{::open((file.string() + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    if (lock) {
        engine->lock_ = Fd{::fcntl(lock.get(), F_DUPFD_CLOEXEC, lock_number)};
    }
    if (!engine->lock_) {
        return fail(os_error("opening the state database " + file.string()));
    }
    if (!take_lock(engine->lock_.get())) {
        return fail(
            Error{Code::unavailable, "the state database " + file.string() + " is in use by another process"}
                .with_slug("state-store-locked")
                .with_hint("stop the other vmm-service, or give this one a state_url of its own")
        );
    }
    sqlite3* db = nullptr;
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    const int opened = sqlite3_open_v2(file.c_str(), &db, flags, nullptr);
    engine->db_.reset(db);
    if (opened != SQLITE_OK) {
        return fail(engine->error("opening " + file.string()));
    }
    if (auto ready = engine->check_schema(); !ready) {
        return fail(std::move(ready).error().while_doing(file.string()));
    }
    int keep = 1;
    sqlite3_file_control(engine->db_.get(), "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
    lay_out(file.string() + "-wal");
    return engine;
}

Result<void> Engine::check_schema() {
    sqlite3_busy_timeout(db_.get(), 2000);
    CHECK(run("PRAGMA journal_mode=WAL"));
    CHECK(run("PRAGMA synchronous=FULL"));
    CHECK(run("PRAGMA cache_size=-2048"));
    TRY(const auto version, scalar("PRAGMA user_version"));
    if (version > layout_version) {
        return fail(Error{
            Code::unavailable,
            "the state database has layout " + std::to_string(version) + "; this program knows up to " +
                std::to_string(layout_version)
        }
                        .with_slug("state-store-newer")
                        .with_hint("run the newer vmm-service that wrote it, or restore a backup"));
    }
    if (version == 0) {
        TRY(const auto tables, scalar("SELECT count(*) FROM sqlite_schema"));
        if (tables != 0) {
            return fail(
                Error{Code::unavailable, "this SQLite file holds something else than a state database"}
                    .with_slug("state-store-foreign")
            );
        }
        CHECK(
            run("BEGIN;"
                "CREATE TABLE kv(key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL, "
                "expires_at INTEGER) WITHOUT ROWID;"
                "CREATE INDEX kv_expiry ON kv(expires_at) WHERE expires_at IS NOT NULL;"
                "CREATE TABLE counter(revision INTEGER NOT NULL);"
                "INSERT INTO counter VALUES(0);"
                "PRAGMA user_version=1;"
                "COMMIT")
        );
    }
    CHECK(run("PRAGMA quick_check(1)"));
    TRY(last_revision_, scalar("SELECT revision FROM counter"));
    committed_revision_ = last_revision_;
    return prepare_all();
}

Result<void> Engine::run(const char* sql) {
    struct Seen {
        bool damaged = false;
    } seen;

    // quick_check reports damage as rows that are not "ok"; every other statement here has no rows that
    // matter.
    const bool check = std::string_view{sql}.starts_with("PRAGMA quick_check");
    const auto on_row = [](void* context, int columns, char** values, char**) {
        if (columns > 0 && values[0] != nullptr && std::string_view{values[0]} != "ok") {
            static_cast<Seen*>(context)->damaged = true;
        }
        return 0;
    };
    if (sqlite3_exec(db_.get(), sql, check ? +on_row : nullptr, &seen, nullptr) != SQLITE_OK) {
        return fail(error("preparing"));
    }
    if (seen.damaged) {
        return fail(Error{Code::unavailable, "the state database is damaged"}
                        .with_slug("state-store-damaged")
                        .with_hint("restore it from a backup"));
    }
    return {};
}

Result<Engine::Statement> Engine::prepare(std::string_view sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v3(
            db_.get(),
            sql.data(),
            static_cast<int>(sql.size()),
            SQLITE_PREPARE_PERSISTENT,
            &statement,
            nullptr
        ) != SQLITE_OK) {
        return fail(error("preparing"));
    }
    return Statement{statement};
}

Result<void> Engine::prepare_all() {
    TRY(select_,
        prepare("SELECT key, value, revision, expires_at FROM kv WHERE key=?1 AND (expires_at IS NULL OR "
                "expires_at>?2)"));
    TRY(revision_, prepare("SELECT revision FROM kv WHERE key=?1"));
    TRY(upsert_,
        prepare("INSERT INTO kv(key, value, revision, expires_at) VALUES(?1,?2,?3,?4) ON CONFLICT(key) DO "
                "UPDATE SET "
                "value=excluded.value, revision=excluded.revision, expires_at=excluded.expires_at"));
    TRY(remove_, prepare("DELETE FROM kv WHERE key=?1"));
    TRY(list_,
        prepare("SELECT key, value, revision, expires_at FROM kv WHERE key>=?1 AND key<?2 AND key>?3 AND "
                "(expires_at IS NULL OR "
                "expires_at>?4) ORDER BY key LIMIT ?5"));
    TRY(expire_, prepare("DELETE FROM kv WHERE expires_at IS NOT NULL AND expires_at<=?1"));
    return {};
}

Result<std::int64_t> Engine::scalar(const char* sql) {
    TRY(const auto statement, prepare(sql));
    if (sqlite3_step(statement.get()) != SQLITE_ROW) {
        return fail(error("reading"));
    }
    return sqlite3_column_int64(statement.get(), 0);
}

Result<void> Engine::step_done(sqlite3_stmt* statement) {
    if (sqlite3_step(statement) != SQLITE_DONE) {
        return fail(error("writing"));
    }
    return {};
}

Result<void> Engine::begin(ports::Outlives outlives) {
    if (outlives != outlives_) {
        const bool full = outlives == ports::Outlives::power_loss;
        CHECK(run(full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL"));
        outlives_ = outlives;
    }
    if (sqlite3_exec(db_.get(), "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) != SQLITE_OK) {
        return fail(error("beginning to write"));
    }
    return {};
}

Result<void> Engine::commit() {
    const std::string sql = "UPDATE counter SET revision=" + std::to_string(last_revision_) + "; COMMIT";
    if (sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
        auto failed = error("committing");
        roll_back();
        return fail(std::move(failed));
    }
    committed_revision_ = last_revision_;
    return {};
}

void Engine::roll_back() {
    sqlite3_exec(db_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
    last_revision_ = committed_revision_;
}

Result<std::int64_t> Engine::revision_of(const std::string& key) {
    const Use use{revision_.get()};
    bind_text(revision_.get(), 1, key);
    const int got = sqlite3_step(revision_.get());
    if (got != SQLITE_ROW && got != SQLITE_DONE) {
        return fail(error("reading"));
    }
    return got == SQLITE_ROW ? sqlite3_column_int64(revision_.get(), 0) : 0;
}

Result<std::int64_t> Engine::apply(const ports::Transaction& transaction) {
    for (const auto& [key, expected] : transaction.expect) {
        TRY(const auto found, revision_of(key));
        if (found != expected) {
            return fail(Error{Code::conflict, "the record has changed in between"}
                            .with_slug("store-conflict")
                            .with_field(key));
        }
    }
    const std::int64_t revision = last_revision_ + 1;
    for (const auto& put : transaction.puts) {
        const Use use{upsert_.get()};
        bind_text(upsert_.get(), 1, put.key);
        sqlite3_bind_blob(
            upsert_.get(), 2, put.value.data(), static_cast<int>(put.value.size()), SQLITE_TRANSIENT
        );
        sqlite3_bind_int64(upsert_.get(), 3, revision);
        if (put.expires_at) {
            sqlite3_bind_int64(upsert_.get(), 4, put.expires_at->ms);
        }
        CHECK(step_done(upsert_.get()));
    }
    for (const auto& key : transaction.removes) {
        const Use use{remove_.get()};
        bind_text(remove_.get(), 1, key);
        CHECK(step_done(remove_.get()));
    }
    last_revision_ = revision;
    return revision;
}

Result<ports::Record> Engine::get(const std::string& key, Timestamp at) {
    const Use use{select_.get()};
    bind_text(select_.get(), 1, key);
    sqlite3_bind_int64(select_.get(), 2, at.ms);
    const int got = sqlite3_step(select_.get());
    if (got == SQLITE_ROW) {
        return row(select_.get());
    }
    if (got == SQLITE_DONE) {
        return fail(Code::not_found, "no such record");
    }
    return fail(error("reading"));
}

Result<std::vector<ports::Record>>
Engine::list(const std::string& prefix, const std::string& after, std::size_t limit, Timestamp at) {
    const Use use{list_.get()};
    bind_text(list_.get(), 1, prefix);
    bind_text(list_.get(), 2, prefix.empty() ? std::string{"\xff"} : end_of(prefix));
    bind_text(list_.get(), 3, after);
    sqlite3_bind_int64(list_.get(), 4, at.ms);
    sqlite3_bind_int64(list_.get(), 5, static_cast<std::int64_t>(limit));
    std::vector<ports::Record> records;
    while (true) {
        const int got = sqlite3_step(list_.get());
        if (got == SQLITE_DONE) {
            return records;
        }
        if (got != SQLITE_ROW) {
            return fail(error("reading"));
        }
        records.push_back(row(list_.get()));
    }
}

Result<std::int64_t> Engine::drop_expired(Timestamp at) {
    const Use use{expire_.get()};
    sqlite3_bind_int64(expire_.get(), 1, at.ms);
    CHECK(step_done(expire_.get()));
    return sqlite3_changes64(db_.get());
}

}  // namespace vmm::sqlite
