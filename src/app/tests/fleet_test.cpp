#include "vmm/app/application.h"
#include "vmm/app/images.h"
#include "vmm/crypto/signatures.h"
#include "vmm/formnet/mesh.h"
#include "vmm/seed/seeds.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "vmm_test/fakes.h"
#include "vmm_test/state_store_contract.h"

namespace vmm::app {
namespace {

using domain::Job;
using domain::Progress;
using domain::Status;

// The application over fakes that outlive it, so that a test can let the service die and come back.
class FleetTest : public ::testing::Test {
protected:
    struct Life {
        explicit Life(FleetTest& test)
            : app{test.settings,
                  Ports{
                      test.store,
                      test.hypervisor,
                      test.images,
                      test.disks,
                      test.host,
                      *test.signatures,
                      test.network,
                      *test.seeds,
                      *test.mesh
                  },
                  loop.get_executor()} {
            world.render = [](const domain::Operation& operation, const domain::Vm* vm) {
                return Answer{operation.error ? 503 : 200, vm == nullptr ? "" : vm->id, ""};
            };
        }

        asio::io_context loop;
        Application app;
        World& world = app.world;
        Operations& operations = app.operations;
        Registry& registry = app.registry;
        Images& images = app.images;
        Fleet& fleet = app.fleet;
    };

    FleetTest() { settings.default_image = "tiny"; }

    // Runs until nothing is left to do.
    template <class T>
    Result<T> run(Task<T> task) {
        std::optional<Result<T>> out;
        asio::co_spawn(
            life->loop,
            std::move(task),
            [&out](const std::exception_ptr& thrown, Result<T> result) {
                if (thrown) {
                    std::rethrow_exception(thrown);
                }
                out = std::move(result);
            }
        );
        life->loop.restart();
        life->loop.run();
        return *std::move(out);
    }

    void settle() {
        life->loop.restart();
        life->loop.run();
    }

    Result<Begun> create(const std::string& name, bool start = true, Ticket ticket = {}) {
        CreateVm wanted;
        wanted.name = name;
        wanted.start = start;
        return run(life->fleet.create(owner, wanted, std::move(ticket)));
    }

    Result<Begun> begin(const std::string& vm, Job job, JobOptions options = {}) {
        return run(life->fleet.begin(owner, vm, job, options, {}, std::nullopt));
    }

    [[nodiscard]] Status status(const std::string& vm) const {
        const auto found = life->registry.find(vm);
        return found ? found->status : Status::deleted;
    }

    // The service ends here and now, and another one begins.
    void come_back() {
        life = std::make_unique<Life>(*this);
        ASSERT_TRUE(run(life->operations.load()));
        const auto loaded = run(life->fleet.load());
        ASSERT_TRUE(loaded) << loaded.error().message();
    }

    Settings settings;
    test::MemoryStore store;
    test::FakeHypervisor hypervisor;
    test::FakeImages images;
    test::FakeDisks disks;
    test::FakeHost host;
    test::FakeNetwork network;
    std::unique_ptr<ports::Seeds> seeds = seed::create_seeds();
    std::unique_ptr<ports::Mesh> mesh = formnet::create_mesh("");
    std::unique_ptr<ports::Signatures> signatures = crypto::create_signatures();
    domain::Caller owner{*domain::Address::from_stored("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"), false};
    std::unique_ptr<Life> life = std::make_unique<Life>(*this);
};

TEST_F(FleetTest, CreatesARunningMachineFromTheImagesShape) {
    const auto made = create("web");
    ASSERT_TRUE(made) << made.error().message();
    EXPECT_EQ(status(made->vm), Status::running);
    EXPECT_EQ(life->registry.find(made->vm)->memory_mib, 128U);
    EXPECT_EQ(life->operations.find(made->operation)->status, Progress::succeeded);
    EXPECT_EQ(hypervisor.last_plan.kernel, "/images/tiny/vmlinux");
    EXPECT_FALSE(hypervisor.last_plan.boot_token.empty());
}

TEST_F(FleetTest, LeavesNothingWhenTheHypervisorRefuses) {
    hypervisor.refuses = true;
    const auto made = create("web");
    ASSERT_TRUE(made);
    const auto operation = life->operations.find(made->operation);
    EXPECT_EQ(operation->status, Progress::failed);
    EXPECT_EQ(operation->error->slug(), "qemu-failed");
    EXPECT_EQ(status(made->vm), Status::deleted);
    EXPECT_TRUE(disks.made.empty());
    EXPECT_TRUE(hypervisor.folders.empty());
    hypervisor.refuses = false;
    EXPECT_TRUE(create("web")) << "the name is free again";
}

TEST_F(FleetTest, LeavesNothingWhenTheDiskIsFull) {
    disks.full = true;
    const auto made = create("web", false);
    EXPECT_EQ(life->operations.find(made->operation)->error->slug(), "no-space");
    EXPECT_EQ(life->registry.size(), 0U);
}

TEST_F(FleetTest, ChangesNothingWhenTheIntentCannotBeStored) {
    const auto vm = create("web", false)->vm;
    store.broken = true;
    const auto refused = begin(vm, Job::start);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().slug(), "no-space");
    EXPECT_TRUE(hypervisor.machines.empty());
    store.broken = false;
    EXPECT_EQ(status(vm), Status::stopped);
    EXPECT_TRUE(begin(vm, Job::start)) << "the lock was given back";
    EXPECT_EQ(status(vm), Status::running);
}

TEST_F(FleetTest, WalksThroughEveryState) {
    const auto vm = create("web")->vm;
    for (const auto& [job, after] : std::initializer_list<std::pair<Job, Status>>{
             {Job::pause, Status::paused},
             {Job::resume, Status::running},
             {Job::restart, Status::running},
             {Job::stop, Status::stopped},
             {Job::start, Status::running},
         }) {
        ASSERT_TRUE(begin(vm, job)) << name(job);
        EXPECT_EQ(status(vm), after) << name(job);
    }
    EXPECT_EQ(begin(vm, Job::remove).error().slug(), "machine-running");
    ASSERT_TRUE(begin(vm, Job::remove, {.timeout_s = 0, .force = true}));
    EXPECT_EQ(status(vm), Status::deleted);
    EXPECT_TRUE(hypervisor.folders.empty());
    EXPECT_TRUE(disks.made.empty());
    for (const auto& [key, record] : store.records) {
        EXPECT_TRUE(key.starts_with("/operations/")) << key << " is left over";
    }
}

TEST_F(FleetTest, SaysThatADeafGuestWasEndedByForce) {
    const auto vm = create("web")->vm;
    hypervisor.deaf = true;
    ASSERT_TRUE(begin(vm, Job::stop, {.timeout_s = 0, .force = false}));
    EXPECT_TRUE(life->registry.find(vm)->status_reason.starts_with("stopped by force"));
}

TEST_F(FleetTest, TellsAPowerOffFromACrash) {
    const auto off = create("off")->vm;
    const auto crash = create("crash")->vm;
    hypervisor.end(off, ports::Ended::Cause::guest_off, "the guest turned itself off");
    hypervisor.end(crash, ports::Ended::Cause::broke, "QEMU crashed");
    settle();
    EXPECT_EQ(status(off), Status::stopped);
    EXPECT_EQ(life->registry.find(off)->desired_power, domain::Power::off);
    EXPECT_EQ(status(crash), Status::failed);
    EXPECT_EQ(life->registry.find(crash)->status_reason, "QEMU crashed");
    EXPECT_EQ(life->registry.find(crash)->desired_power, domain::Power::on);
}

TEST_F(FleetTest, TakesRunningMachinesOverWhenTheServiceComesBack) {
    const auto vm = create("web")->vm;
    const auto paused = create("paused")->vm;
    ASSERT_TRUE(begin(paused, Job::pause));
    come_back();
    EXPECT_EQ(status(vm), Status::running);
    EXPECT_EQ(status(paused), Status::paused);
    EXPECT_TRUE(begin(vm, Job::pause));
}

TEST_F(FleetTest, SaysThatTheProcessWasGone) {
    const auto vm = create("web")->vm;
    hypervisor.machines.clear();
    come_back();
    EXPECT_EQ(status(vm), Status::failed);
}

TEST_F(FleetTest, StartsAgainWhatRanBeforeTheHostWasRestarted) {
    const auto vm = create("web")->vm;
    const auto off = create("off", false)->vm;
    hypervisor.machines.clear();
    host.boot = "boot-2";
    come_back();
    settle();
    EXPECT_EQ(status(vm), Status::running);
    EXPECT_EQ(status(off), Status::stopped);
}

TEST_F(FleetTest, RemovesWhatBelongsToNoMachine) {
    const auto vm = create("web", false)->vm;
    hypervisor.folders.insert("vm-00000000000000000000000000");
    disks.made.insert("vm-00000000000000000000000000");
    come_back();
    EXPECT_EQ(disks.made, std::set<std::string>{vm});
    EXPECT_TRUE(hypervisor.folders.empty());
}

TEST_F(FleetTest, RefusesToPromiseMemoryTwice) {
    host.size.memory_mib = 600;
    ASSERT_TRUE(create("one"));
    ASSERT_TRUE(create("two"));
    const auto refused = create("three");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().slug(), "host-memory-exhausted");
    EXPECT_TRUE(create("three", false));
}

TEST_F(FleetTest, RefusesToPromiseMemoryTwiceToStartsAtTheSameMoment) {
    host.size.memory_mib = 400;  // 256 are kept back: room for one machine of 128
    const auto one = create("one", false)->vm;
    const auto two = create("two", false)->vm;
    int begun = 0;
    for (const auto& vm : {one, two}) {
        auto task = life->fleet.begin(owner, vm, Job::start, {}, {}, std::nullopt);
        asio::co_spawn(
            life->loop,
            std::move(task),
            [&begun](const std::exception_ptr&, const Result<Begun>& result) { begun += result ? 1 : 0; }
        );
    }
    settle();
    EXPECT_EQ(begun, 1);
    EXPECT_EQ(hypervisor.machines.size(), 1U);
}

TEST_F(FleetTest, GivesARepeatedKeyTheFirstAnswer) {
    Ticket ticket;
    ticket.idempotency_key = "/idempotency/a/b";
    ticket.body_sha256 = "x";
    const auto first = create("web", true, ticket);
    const auto again = create("web", true, ticket);
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(again->vm, first->vm);
    ASSERT_TRUE(again->first_answer);
    EXPECT_EQ(again->first_answer->body, first->vm);
    ticket.body_sha256 = "y";
    EXPECT_EQ(create("web", true, ticket).error().slug(), "idempotency-key-reused");
}

TEST_F(FleetTest, GivesAGpuToOneMachineUntilThatIsGone) {
    host.cards = {{"0000:17:00.0", "H100", 1, ""}, {"0000:18:00.0", "H100", 2, ""}};
    const auto order = [this](const std::string& name, std::uint32_t count) {
        CreateVm wanted;
        wanted.name = name;
        wanted.gpus = {{"H100", count, 0}};
        return run(life->fleet.create(owner, wanted, {}));
    };
    const auto first = order("first", 1);
    ASSERT_TRUE(first);
    settle();
    const std::vector<domain::Gpu> given{{"H100", "0000:17:00.0"}};
    EXPECT_EQ(hypervisor.last_plan.gpus, given);
    EXPECT_EQ(order("greedy", 2).error().slug(), "gpu-taken");
    // A clone gets one of its own, the next has none left.
    CloneVm twin;
    twin.name = "twin";
    const auto second = run(life->fleet.clone(owner, first->vm, twin, {}));
    ASSERT_TRUE(second) << second.error().message();
    settle();
    EXPECT_EQ(life->registry.find(second->vm)->gpus.at(0).address, "0000:18:00.0");
    EXPECT_EQ(order("third", 1).error().slug(), "gpu-taken");
    // It is remembered, and a card that is gone is no start.
    come_back();
    EXPECT_EQ(order("third", 1).error().slug(), "gpu-taken");
    host.cards.pop_back();
    ASSERT_TRUE(begin(second->vm, Job::start));
    settle();
    EXPECT_NE(status(second->vm), Status::running);
    ASSERT_TRUE(begin(first->vm, Job::remove, {0, true, false}));
    settle();
    EXPECT_TRUE(order("third", 1));
}

TEST_F(FleetTest, TakesABootTokenOnceForEachStart) {
    const auto vm = create("web")->vm;
    BootReport report;
    report.token = hypervisor.last_plan.boot_token;
    report.address = "10.0.2.15";
    ASSERT_TRUE(run(life->fleet.boot_complete(report)));
    EXPECT_EQ(life->registry.find(vm)->addresses, std::vector<std::string>{"10.0.2.15"});
    EXPECT_EQ(run(life->fleet.boot_complete(report)).error().slug(), "bad-boot-token");
    hypervisor.machines.at(vm)->events.reset();
    settle();
    EXPECT_TRUE(run(life->fleet.boot_complete(report))) << "a guest that resets itself reports again";
    ASSERT_TRUE(begin(vm, Job::restart));
    EXPECT_FALSE(run(life->fleet.boot_complete(report))) << "another start, another token";
    report.token = hypervisor.last_plan.boot_token;
    report.name = "other";
    EXPECT_FALSE(run(life->fleet.boot_complete(report))) << "the name must fit";
}

}  // namespace
}  // namespace vmm::app

namespace vmm::test {

INSTANTIATE_TEST_SUITE_P(Memory, StateStoreContract, ::testing::Values([] {
                             return std::make_unique<MemoryStore>();
                         }));

}  // namespace vmm::test
