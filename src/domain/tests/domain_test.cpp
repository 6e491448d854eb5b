#include "vmm/base/ids.h"
#include "vmm/domain/admission.h"
#include "vmm/domain/lifecycle.h"
#include "vmm/domain/names.h"
#include "vmm/domain/operation.h"

#include <gtest/gtest.h>

namespace vmm::domain {
namespace {

TEST(Lifecycle, RefusesASecondStart) {
    const auto refused = step(Status::starting, Event::start);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::conflict);
    EXPECT_EQ(refused.error().message(), "cannot start a machine that is starting");
}

TEST(Lifecycle, EveryStateCanBeNamedAndRead) {
    for (const auto& row : transitions) {
        EXPECT_EQ(status_named(name(row.from)), row.from);
        EXPECT_EQ(status_named(name(row.to)), row.to);
    }
}

TEST(Names, TakeWhatAHostNameTakes) {
    for (const auto* good : {"a", "web-1", "my.vm_2", "A9"}) {
        EXPECT_TRUE(check_vm_name(good)) << good;
    }
    for (const std::string& bad :
         {std::string{},
          std::string(64, 'a'),
          std::string{"../etc"},
          std::string{"a b"},
          std::string{"a\nb"},
          std::string{"-a"},
          std::string{"a-"},
          std::string{"käse"},
          std::string{"a\0b", 3},
          new_id("vm")}) {
        const auto refused = check_vm_name(bad);
        ASSERT_FALSE(refused) << bad;
        EXPECT_EQ(refused.error().field(), "name");
    }
}

TEST(Names, RefuseImagesThatLeaveTheFolder) {
    for (const auto* bad : {"", "../x", "a/b", ".hidden", "-x", "a\nb"}) {
        EXPECT_FALSE(check_image_name(bad)) << bad;
    }
    EXPECT_TRUE(check_image_name("debian-12.1_amd64"));
}

TEST(Names, BoundLabels) {
    EXPECT_TRUE(check_labels({{"app/tier", "web front"}}));
    EXPECT_FALSE(check_labels({{"", "x"}}));
    EXPECT_FALSE(check_labels({{"a b", "x"}}));
    EXPECT_FALSE(check_labels({{"a", "x\n"}}));
    EXPECT_FALSE(check_labels({{"a", std::string(256, 'x')}}));
}

TEST(Admission, NamesTheNumberThatWasExceeded) {
    const HostCapacity host{2, 4096, 1000, 10};
    EXPECT_EQ(
        check_shape({9, 512, 1}, host).error().message(), "9 is not from 1 to 8, the most this host gives"
    );
    EXPECT_EQ(check_shape({1, 4000, 1}, host).error().field(), "memory_mib");
    EXPECT_EQ(check_room(10, 10, host).error().slug(), "max-vms-reached");
    EXPECT_EQ(check_room(1, 10, host).error().slug(), "no-space");
    EXPECT_EQ(check_memory(800, 0, host).error().slug(), "host-memory-exhausted") << "more than is available";
    EXPECT_EQ(check_memory(600, 3500, host).error().slug(), "host-memory-exhausted")
        << "more than is not yet given";
    EXPECT_TRUE(check_memory(600, 3000, host));
}

TEST(Operations, AreNamedBothWays) {
    for (const auto job :
         {Job::create, Job::start, Job::stop, Job::restart, Job::pause, Job::resume, Job::remove}) {
        EXPECT_EQ(job_named(name(job)), job);
    }
    EXPECT_EQ(progress_named("succeeded"), Progress::succeeded);
    EXPECT_FALSE(progress_named("done"));
}

}  // namespace
}  // namespace vmm::domain
