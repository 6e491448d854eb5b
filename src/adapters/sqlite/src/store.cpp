#include "vmm/sqlite/store.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "engine.h"

namespace vmm::sqlite {
namespace {

// One piece of work for the writer's thread. `run` does it within the batch's transaction; it fails when the
// whole batch must be rolled back. `finish` hands the outcome back, with the batch's own failure in place of
// a success.
struct Job {
    std::function<Result<void>(Engine&)> run;
    std::function<void(const Result<void>& committed)> finish;
    bool writes = false;
    ports::Outlives outlives = ports::Outlives::power_loss;
};

class Store final : public ports::StateStore {
public:
    explicit Store(std::unique_ptr<Engine> engine)
        : engine_{std::move(engine)}, writer_{[this] { work(); }} {}

    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    ~Store() override {
        {
            const std::lock_guard lock{mutex_};
            stopping_ = true;
        }
        wake_.notify_one();
        writer_.join();
    }

    Task<std::int64_t> commit(ports::Transaction transaction) override {
        const auto outlives = transaction.outlives;
        auto shared = std::make_shared<ports::Transaction>(std::move(transaction));
        auto work = std::function<Result<std::int64_t>(Engine&)>{[shared](Engine& engine) {
            return engine.apply(*shared);
        }};
        co_return co_await submit<std::int64_t>(std::move(work), true, outlives);
    }

    Task<ports::Record> get(std::string key) override {
        auto work = std::function<Result<ports::Record>(Engine&)>{[key](Engine& engine) {
            return engine.get(key, now());
        }};
        co_return co_await submit<ports::Record>(std::move(work), false);
    }

    Task<std::vector<ports::Record>> list(std::string prefix, std::string after, std::size_t limit) override {
        using Records = std::vector<ports::Record>;
        auto work = std::function<Result<Records>(Engine&)>{[prefix, after, limit](Engine& engine) {
            return engine.list(prefix, after, limit, now());
        }};
        co_return co_await submit<Records>(std::move(work), false);
    }

    Task<std::int64_t> drop_expired(Timestamp at) override {
        auto work = std::function<Result<std::int64_t>(Engine&)>{[at](Engine& engine) {
            return engine.drop_expired(at);
        }};
        co_return co_await submit<std::int64_t>(std::move(work), true);
    }

    Task<void> check() override {
        ports::Transaction probe;
        probe.puts.push_back({"/health/probe", std::to_string(now().ms), {}});
        CO_CHECK(co_await commit(std::move(probe)));
        co_return Result<void>{};
    }

private:
    template <class T>
    Task<T> submit(
        std::function<Result<T>(Engine&)> work,
        bool writes,
        ports::Outlives outlives = ports::Outlives::power_loss
    ) {
        auto outcome = std::make_shared<std::optional<Result<T>>>();
        asio::steady_timer done{co_await asio::this_coro::executor, asio::steady_timer::time_point::max()};
        Job job;
        job.writes = writes;
        job.outlives = outlives;
        job.run = [work = std::move(work), outcome](Engine& engine) -> Result<void> {
            outcome->emplace(work(engine));
            const Result<T>& got = **outcome;
            // A transaction that found other revisions has changed nothing; any other failure may be half
            // done.
            if (!got && got.error().code() != Code::conflict && got.error().code() != Code::not_found) {
                return std::unexpected{got.error()};
            }
            return {};
        };
        // The timer is only a way to be woken: it expires, on its own executor, once the outcome is there.
        job.finish = [outcome, writes, &done, executor = done.get_executor()](const Result<void>& committed) {
            if (!committed && (!*outcome || (writes && **outcome))) {
                outcome->emplace(std::unexpected{committed.error()});
            }
            asio::post(executor, [&done] { done.expires_at(asio::steady_timer::time_point::min()); });
        };
        // Not to be interrupted: the writer's thread holds a reference to this frame's timer.
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        enqueue(std::move(job));
        co_await done.async_wait(as_value);
        co_return std::move(**outcome);
    }

    void enqueue(Job job) {
        {
            const std::lock_guard lock{mutex_};
            jobs_.push_back(std::move(job));
        }
        wake_.notify_one();
    }

    void work() {
        while (true) {
            std::deque<Job> batch;
            {
                std::unique_lock lock{mutex_};
                wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
                if (jobs_.empty()) {
                    return;
                }
                batch.swap(jobs_);
            }
            run_batch(batch);
        }
    }

    void run_batch(std::deque<Job>& batch) {
        const bool writes = std::ranges::any_of(batch, &Job::writes);
        const bool waits = std::ranges::any_of(batch, [](const Job& job) {
            return job.writes && job.outlives == ports::Outlives::power_loss;
        });
        Result<void> outcome;
        if (writes) {
            outcome = engine_->begin(waits ? ports::Outlives::power_loss : ports::Outlives::process);
        }
        const bool begun = writes && outcome;
        for (auto& job : batch) {
            if (outcome) {
                outcome = job.run(*engine_);
            }
        }
        if (begun && outcome) {
            outcome = engine_->commit();
        } else if (begun) {
            engine_->roll_back();
        }
        for (auto& job : batch) {
            job.finish(outcome);
        }
    }

    std::unique_ptr<Engine> engine_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Job> jobs_;
    bool stopping_ = false;
    std::thread writer_;
};

}  // namespace

Result<std::unique_ptr<ports::StateStore>> open(const std::filesystem::path& file) {
    TRY(auto engine, Engine::open(file));
    return std::make_unique<Store>(std::move(engine));
}

}  // namespace vmm::sqlite
