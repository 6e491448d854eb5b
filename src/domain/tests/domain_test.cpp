#include "vmm/base/ids.h"
#include "vmm/domain/admission.h"
#include "vmm/domain/formfile.h"
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

TEST(Formfile, ReadsTheMachineShape) {
    const auto file = parse_formfile("# a machine\nNAME my-vm\n\nVCPU 2\nMEM 1024\nDISK 20\n");
    ASSERT_TRUE(file) << file.error().message();
    EXPECT_EQ(file->name, "my-vm");
    EXPECT_EQ(file->vcpus, 2U);
    EXPECT_EQ(file->memory_mib, 1024U);
    EXPECT_EQ(file->disk_gib, 20U);
}

TEST(Formfile, RefusesWithTheLine) {
    for (const auto& [text, line] : std::initializer_list<std::pair<const char*, const char*>>{
             {"...", "line 1: the instruction \"...\" has no argument"},
             {"NAME x\nVCPU 129", "line 2: expected a number of vCPUs from 1 to 128, found \"129\""},
             {"NAME x\nRUN true",
              "line 2: RUN builds inside the guest, which this service does not do; build an image with it "
              "instead"},
             {"FROM debian", "line 1: unknown instruction \"FROM\""},
         }) {
        const auto refused = parse_formfile(text);
        ASSERT_FALSE(refused) << text;
        EXPECT_EQ(refused.error().field(), "formfile");
        EXPECT_EQ(refused.error().message(), line);
    }
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
