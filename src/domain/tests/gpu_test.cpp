#include "vmm/domain/gpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmm::domain {
namespace {

using ::testing::HasSubstr;

const std::vector<HostGpu> host{
    {"0000:17:00.0", "H100", 1, ""},
    {"0000:18:00.0", "H100", 2, ""},
    {"0000:19:00.0", "H100", 2, ""},
    {"0000:65:00.0", "H200", 3, "has the driver nvidia, not vfio-pci"},
};

TEST(Gpus, AreChosenEachOnce) {
    const auto chosen = choose_gpus({{"H100", 1, 1}, {"H100", 2, 2}}, host, {});
    ASSERT_TRUE(chosen);
    const std::vector<Gpu> all{{"H100", "0000:17:00.0"}, {"H100", "0000:18:00.0"}, {"H100", "0000:19:00.0"}};
    EXPECT_EQ(*chosen, all);
}

TEST(Gpus, OfAGroupGoToOneMachine) {
    const auto chosen = choose_gpus({{"H100", 1, 1}}, host, {"0000:19:00.0"});
    ASSERT_TRUE(chosen);
    EXPECT_EQ(chosen->at(0).address, "0000:17:00.0");
    const auto none = choose_gpus({{"H100", 2, 1}}, host, {"0000:19:00.0"});
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().slug(), "gpu-taken");
    EXPECT_THAT(none.error().message(), HasSubstr("line 1: 2 H100 are wanted"));
}

TEST(Gpus, ThatTheHostCannotGiveAreRefusedWithWhatItHas) {
    const auto driven = choose_gpus({{"H200", 1, 3}}, host, {});
    ASSERT_FALSE(driven);
    EXPECT_EQ(driven.error().slug(), "gpu-unavailable");
    EXPECT_EQ(driven.error().field(), "formfile");
    EXPECT_THAT(driven.error().message(), HasSubstr("H200 at 0000:65:00.0, which has the driver nvidia"));
    const auto none = choose_gpus({{"B200", 1, 0}}, {}, {});
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().field(), "gpus");
    EXPECT_THAT(none.error().message(), HasSubstr("it has no NVIDIA GPU"));
    EXPECT_FALSE(choose_gpus({{"H100", 4, 0}}, host, {}));
}

TEST(Gpus, OfAMachineMustStillBeThere) {
    EXPECT_TRUE(check_gpus({{"H100", "0000:17:00.0"}}, host));
    for (const auto& [gpu, why] : std::vector<std::pair<Gpu, std::string>>{
             {{"H100", "0000:99:00.0"}, "not in the host any more"},
             {{"B200", "0000:17:00.0"}, "is a H100 now"},
             {{"H200", "0000:65:00.0"}, "has the driver nvidia"},
         }) {
        const auto checked = check_gpus({gpu}, host);
        ASSERT_FALSE(checked);
        EXPECT_THAT(checked.error().message(), HasSubstr(why));
    }
}

}  // namespace
}  // namespace vmm::domain
