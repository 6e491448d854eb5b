#include "vmm/records/records.h"

#include <gtest/gtest.h>

namespace vmm::records {
namespace {

const auto someone = *domain::Address::from_stored("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");

TEST(Records, ReadBackTheVmTheyWrote) {
    domain::Vm vm;
    vm.id = "vm-1";
    vm.name = "web";
    vm.owner = someone;
    vm.status = domain::Status::running;
    vm.labels = {{"a", "b"}};
    vm.addresses = {"10.0.2.15"};
    vm.started_at = Timestamp{5};
    vm.revision = 7;
    const auto text = write(vm);
    const auto back = read_vm(text);
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(write(*back), text);
    EXPECT_EQ(back->owner, someone);
}

TEST(Records, ReadBackTheOperationTheyWrote) {
    domain::Operation operation;
    operation.id = "op-1";
    operation.requested_by = someone;
    operation.error = Error{Code::unavailable, "no"}.with_slug("no-space").with_field("f").with_hint("h");
    const auto text = write(operation);
    const auto back = read_operation(text);
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(back->error, operation.error);
    EXPECT_EQ(write(*back), text);
}

TEST(Records, KeepAMachinesGpus) {
    domain::Vm vm;
    vm.owner = domain::Owner{someone};
    vm.gpus = {{"H100", "0000:17:00.0"}, {"H200", "0000:65:00.0"}};
    const auto back = read_vm(write(vm));
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(back->gpus, vm.gpus);
}

TEST(Records, RefuseWhatANewerProgramWrote) {
    const auto newer = read_vm(R"({"v":)" + std::to_string(schema_version + 1) + R"(,"id":"vm-1"})");
    ASSERT_FALSE(newer);
    EXPECT_EQ(newer.error().slug(), "record-newer");
}

TEST(Records, RefuseWhatIsBroken) {
    for (const auto* text :
         {"",
          "{}",
          R"({"v":"1"})",
          R"({"v":1,"nope":1})",
          R"({"v":1,"id":"vm-1","owner":"x","status":"running"})"}) {
        const auto broken = read_vm(text);
        ASSERT_FALSE(broken) << text;
        EXPECT_EQ(broken.error().slug(), "record-corrupt") << text;
    }
}

}  // namespace
}  // namespace vmm::records
