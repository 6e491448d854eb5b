// What the ledger adds to a mutating request: bench_ledger FOLDER COUNT -> one line of JSON, in microseconds. The same intent is
// committed with and without an open record, in turn, to a store on the disk; then the record is sealed.
#include "vmm/base/ids.h"
#include "vmm/crypto/signatures.h"
#include "vmm/proofs/ledger.h"
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
    out.puts.push_back({"/nonces/" + std::to_string(round) + std::string(100, 'n'), "1", Timestamp{INT64_MAX / 2}});
    return out;
}

struct Times {
    std::vector<double> without;
    std::vector<double> with;
    std::vector<double> seal;
    std::vector<double> hash;
};

Task<void> measure(ports::StateStore& store, const ports::Signatures& signatures, int count, Times& times) {
    proofs::LedgerRecord record;
    record.address = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf";
    record.method = "PATCH";
    record.target = "/vms/vm-01m87d7n7ge009q0jzz08081mq";
    record.action = "PATCH /vms/{id}";
    record.message = "PATCH " + record.target + ":1795548291.123456789:{\"labels\": {\"n\": \"1\"}}";
    record.signature = std::string(130, 'a');
    record.prev = proofs::no_hash;
    for (int i = 0; i < 2 * count; ++i) {
        auto transaction = intent(i);
        const bool recorded = i % 2 == 1;
        const auto key = "/ledger-open/" + new_id("rec");
        if (recorded) {
            transaction.puts.push_back({key, proofs::write(record), {}});
        }
        auto began = std::chrono::steady_clock::now();
        CO_CHECK(co_await store.commit(std::move(transaction)));
        (recorded ? times.with : times.without).push_back(micros_since(began));
        if (!recorded) {
            continue;
        }
        began = std::chrono::steady_clock::now();
        record.seq = i;
        record.hash = proofs::hash_of(signatures, record);
        times.hash.push_back(micros_since(began));
        ports::Transaction sealing;
        sealing.outlives = ports::Outlives::process;
        sealing.puts.push_back({"/ledger/" + std::to_string(i), proofs::write(record), {}});
        sealing.puts.push_back({"/ledger-by/" + std::to_string(i), "1", {}});
        sealing.puts.push_back({"/ledger-head", record.hash, {}});
        sealing.removes.push_back(key);
        began = std::chrono::steady_clock::now();
        CO_CHECK(co_await store.commit(std::move(sealing)));
        times.seal.push_back(micros_since(began));
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
    bool good = false;
    asio::co_spawn(
        loop,
        measure(**store, *signatures, std::atoi(argv[2]), times),
        [&good](const std::exception_ptr& thrown, const Result<void>& done) { good = !thrown && done; }
    );
    loop.run();
    if (!good) {
        std::fputs("the store failed\n", stderr);
        return 1;
    }
    std::printf(
        "{\"without\": %.2f, \"with\": %.2f, \"hash\": %.2f, \"seal\": %.2f}\n",
        median(times.without),
        median(times.with),
        median(times.hash),
        median(times.seal)
    );
    return 0;
}
