#include "vmm/app/ledger.h"
#include "vmm/base/files.h"
#include "vmm/base/text.h"

#include <spdlog/spdlog.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "keys.h"

// How the ledger is read, exported, and moved out of the store.
namespace vmm::app {
namespace {

using proofs::LedgerMark;
using proofs::LedgerRecord;

constexpr std::size_t page_size = 500;
constexpr std::size_t most_looked_at = 20'000;  // for one page

Result<void> write_all(int file, std::string_view text) {
    while (!text.empty()) {
        const auto written = ::write(file, text.data(), text.size());
        if (written < 0 && errno != EINTR) {
            return fail(os_error("writing the ledger"));
        }
        text.remove_prefix(written < 0 ? 0 : static_cast<std::size_t>(written));
    }
    return {};
}

// On the disk when it returns.
Result<void> keep_file(const std::filesystem::path& file, std::string_view content) {
    CHECK(write_file(file, content, 0600));
    const Fd written{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!written || ::fsync(written.get()) != 0) {
        return fail(os_error("writing the ledger's archive"));
    }
    return sync_folder(file.parent_path());
}

}  // namespace

Task<LedgerRecord> Ledger::record(std::int64_t seq) {
    CO_TRY(const auto stored, co_await store_.get(keys::ledger_record(seq)));
    co_return proofs::read_ledger_record(stored.value);
}

Task<Ledger::Page> Ledger::page(Filter filter, std::int64_t before, std::size_t limit) {
    Page out;
    auto next = before > 0 ? before - 1 : head_.seq;
    const auto fits = [&filter](const LedgerRecord& record) {
        return (filter.about.empty() || record.about == filter.about) &&
               (filter.outcome.empty() || record.outcome == filter.outcome);
    };
    std::size_t looked_at = 0;
    std::string after = filter.address.empty() ? "" : keys::ledger_entry(filter.address, next + 1);
    while (out.records.size() < limit && looked_at < most_looked_at) {
        std::vector<std::int64_t> numbers;
        if (filter.address.empty()) {
            for (; next > base_.seq && numbers.size() < page_size; --next) {
                numbers.push_back(next);
            }
        } else {
            CO_TRY(
                const auto entries, co_await store_.list(keys::ledger_of(filter.address), after, page_size)
            );
            for (const auto& entry : entries) {
                numbers.push_back(keys::ledger_seq(entry.key));
                after = entry.key;
            }
        }
        if (numbers.empty()) {
            co_return out;
        }
        for (const auto seq : numbers) {
            auto found = co_await record(seq);
            ++looked_at;
            if (!found && found.error().code() == Code::not_found) {
                continue;  // rotated away meanwhile
            }
            CO_TRY(auto read, std::move(found));
            if (fits(read)) {
                out.records.push_back(std::move(read));
            }
            if (out.records.size() == limit || looked_at == most_looked_at) {
                out.next = seq;
                break;
            }
        }
    }
    co_return out;
}

Task<std::shared_ptr<Fd>> Ledger::export_all() {
    CO_TRY(const auto end, co_await head());
    const auto base = base_;
    auto file =
        std::make_shared<Fd>(::open(settings_.images_dir.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (!*file) {
        co_return fail(os_error("making a file for the export"));
    }
    CO_CHECK(write_all(file->get(), proofs::write_base(base) + "\n"));
    std::string after = keys::ledger_record(base.seq);
    for (auto seq = base.seq; seq < end.seq;) {
        CO_TRY(const auto records, co_await store_.list(std::string{keys::ledger}, after, page_size));
        std::string lines;
        for (const auto& each : records) {
            if (seq == end.seq) {
                break;
            }
            lines.append(each.value).append("\n");
            after = each.key;
            ++seq;
        }
        CO_CHECK(write_all(file->get(), lines));
        if (records.empty()) {
            co_return fail(Error{Code::conflict, "the ledger was rotated meanwhile; try again"});
        }
    }
    CO_CHECK(write_all(file->get(), proofs::write_head(end) + "\n"));
    co_return file;
}

// Moves the oldest records out, a batch at a time; false when no more are to go.
Task<bool> Ledger::rotate_some(Timestamp at) {
    const auto most = static_cast<std::int64_t>(settings_.audit_most_records);
    const auto surplus = most > 0 ? std::max<std::int64_t>(head_.seq - base_.seq - most, 0) : 0;
    if (settings_.audit_retention.count() == 0 && surplus == 0) {
        co_return false;
    }
    CO_TRY(
        const auto records,
        co_await store_.list(std::string{keys::ledger}, keys::ledger_record(base_.seq), page_size)
    );
    ports::Transaction transaction;
    auto mark = base_;
    std::string lines = proofs::write_base(base_) + "\n";
    for (const auto& each : records) {
        CO_TRY(const auto read, proofs::read_ledger_record(each.value));
        const auto age = parse_rfc3339(read.at).value_or(at);
        const bool old = settings_.audit_retention.count() > 0 && age.plus(settings_.audit_retention) <= at;
        if (!old && read.seq > base_.seq + surplus) {
            break;
        }
        mark = {read.seq, read.hash};
        lines.append(each.value).append("\n");
        transaction.removes.push_back(each.key);
        transaction.removes.push_back(keys::ledger_entry(read.address, read.seq));
    }
    if (mark == base_) {
        co_return false;
    }
    if (!settings_.audit_archive_dir.empty()) {
        lines.append(proofs::write_head(signed_head(mark))).append("\n");
        const auto name =
            "ledger-" + std::to_string(base_.seq + 1) + "-" + std::to_string(mark.seq) + ".jsonl";
        // On the disk before it leaves the store.
        CO_CHECK(keep_file(settings_.audit_archive_dir / name, lines));
    }
    transaction.puts.push_back(
        {std::string{keys::ledger_base}, std::to_string(mark.seq) + " " + mark.hash, {}}
    );
    CO_CHECK(co_await store_.commit(std::move(transaction)));
    spdlog::info("the ledger was rotated from={} to={}", base_.seq + 1, mark.seq);
    base_ = mark;
    co_return true;
}

}  // namespace vmm::app
