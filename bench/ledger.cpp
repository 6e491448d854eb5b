// What the ledger adds to a mutating request: bench_ledger FOLDER COUNT -> one line of JSON, in microseconds
// a request. The same intents are committed to a store on the disk with and without their records, in blocks
// that take turns.

#include "vmm/app/ledger.h"

#include "vmm/crypto/signatures.h"
#include "vmm/sqlite/store.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

using namespace vmm;

double micros_since(std::chrono::steady_clock::time_point began) {
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - began).count();
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

ports::Transaction intent(int round) {
    ports::Transaction out;
    out.puts.push_back({"/vms/vm-1", std::string(900, 'x'), {}});
    out.puts.push_back(
        {"/nonces/" + std::to_string(round) + std::string(100, 'n'), "1", Timestamp{INT64_MAX / 2}}
    );
    return out;
}

proofs::LedgerRecord sample() {
    proofs::LedgerRecord record;
    record.address = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf";
    record.method = "PATCH";
    record.target = "/vms/vm-01m87d7n7ge009q0jzz08081mq";
    record.action = "PATCH /vms/{id}";
    record.message = "PATCH " + record.target + ":1795548291.123456789:{\"labels\": {\"n\": \"1\"}}";
    record.signature = std::string(130, 'a');
    record.prev = proofs::no_hash;
    return record;
}

struct Times {
    std::vector<double> without;
    std::vector<double> with;
    std::vector<double> busy_without;  // without a pause in between
    std::vector<double> busy_with;
};

constexpr int in_a_block = 500;

// One after the other, with what HTTP and the client take in between; seals run beside the next intents. Only
// the commits count, and with them what the seals before them have cost.
Task<double>
block(ports::StateStore& store, app::Ledger* ledger, std::chrono::microseconds between, int& round) {
    double total = 0;
    for (int i = 0; i < in_a_block; ++i) {
        if (between.count() > 0) {
            asio::steady_timer pause{co_await asio::this_coro::executor, between};
            co_await pause.async_wait(as_value);
        }
        const auto began = std::chrono::steady_clock::now();
        auto transaction = intent(++round);
        app::Ticket ticket;
        if (ledger != nullptr) {
            ticket.draft = app::Ledger::draft(sample());
            ticket.add_to(transaction, "", "vm-1");
        }
        CO_CHECK(co_await store.commit(std::move(transaction)));
        if (ledger != nullptr) {
            ledger->seal(ticket.draft);
        }
        total += micros_since(began);
    }
    co_return total / in_a_block;
}

Task<void> measure(ports::StateStore& store, app::Ledger& ledger, Group& jobs, int count, Times& times) {
    int round = 0;
    for (int i = 0; i < 4 * count / in_a_block; ++i) {
        const bool recorded = i % 2 == 1;
        const bool paced = i % 4 < 2;
        const std::chrono::microseconds between{paced ? 250 : 0};
        CO_TRY(const auto took, co_await block(store, recorded ? &ledger : nullptr, between, round));
        (void)co_await jobs.drained(std::chrono::seconds{10});
        auto& kept = paced ? (recorded ? times.with : times.without)
                           : (recorded ? times.busy_with : times.busy_without);
        kept.push_back(took);
    }
    co_return Result<void>{};
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fputs("bench_ledger FOLDER COUNT\n", stderr);
        return 2;
    }
    auto store = sqlite::open(std::filesystem::path{argv[1]} / "ledger.db");
    if (!store) {
        std::fprintf(stderr, "%s\n", store.error().message().c_str());
        return 1;
    }
    const auto signatures = crypto::create_signatures();
    Times times;
    asio::io_context loop;
    app::Settings settings;
    Group jobs{loop.get_executor()};
    app::Ledger ledger{settings, **store, *signatures, jobs};
    bool good = false;
    asio::co_spawn(
        loop,
        measure(**store, ledger, jobs, std::atoi(argv[2]), times),
        [&good](const std::exception_ptr& thrown, const Result<void>& done) { good = !thrown && done; }
    );
    loop.run();
    if (!good) {
        std::fputs("the store failed\n", stderr);
        return 1;
    }
    std::printf(
        "{\"without\": %.2f, \"with\": %.2f, \"busy_without\": %.2f, \"busy_with\": %.2f}\n",
        median(times.without),
        median(times.with),
        median(times.busy_without),
        median(times.busy_with)
    );
    return 0;
}
