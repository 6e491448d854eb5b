#include "vmm/domain/formfile.h"

#include <gmock/gmock.h>

namespace vmm::domain {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Formfile, ReadsEveryInstruction) {
    const auto read = parse_formfile(
        "# a comment\n\nFROM debian:12\nNAME my web\nDESCRIPTION says hello\nCPU 2\nMBS 1024\nSTORAGE "
        "20\nGPU H100:2\n"
        "USER username:dev passwd='a b' sudo=yes groups:adm,www-data shell:/bin/sh ssh_pwauth:off\n"
        "ENV --scope=service:app KEY=\"a b\"\nCOPY \"a b\" /x\nINSTALL curl ./x.deb\nRUN echo \"hi  there\" "
        "&& true\n"
        "WORKDIR /srv\nENTRYPOINT [\"run\", \"a \\\"b\\\"\", \"c\"]\nEXPOSE 80 53/udp\nMODEL required:m1\n"
        "HEALTHCHECK --interval=5s --retries=2 CMD curl -f localhost\n"
    );
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(read->from, "debian:12");
    EXPECT_EQ(read->name, "my web");
    EXPECT_EQ(read->vcpus, 2U);
    EXPECT_EQ(read->memory_mib, 1024U);
    EXPECT_EQ(read->disk_gib, 20U);
    EXPECT_EQ(read->gpus.at(0).count, 2U);
    const auto& user = read->users.at(0);
    EXPECT_EQ(user.passwd, "a b");
    EXPECT_TRUE(user.sudo);
    EXPECT_FALSE(user.ssh_pwauth);
    EXPECT_THAT(user.groups, ElementsAre("adm", "www-data"));
    ASSERT_EQ(read->steps.size(), 4U);
    EXPECT_THAT(read->steps[0].words, ElementsAre("KEY", "a b"));
    EXPECT_EQ(read->steps[0].who, "app");
    EXPECT_THAT(read->steps[1].words, ElementsAre("a b", "/x"));
    EXPECT_THAT(read->steps[2].words, ElementsAre("curl", "./x.deb"));
    EXPECT_THAT(read->steps[3].words, ElementsAre("echo \"hi  there\" && true"));
    EXPECT_THAT(read->entrypoint, ElementsAre("run", "a \"b\"", "c"));
    EXPECT_EQ(read->exposes.at(1).protocol, "udp");
    EXPECT_TRUE(read->model_required);
    EXPECT_EQ(read->health->interval_s, 5U);
    EXPECT_EQ(read->health->command, "curl -f localhost");
}

TEST(Formfile, SaysWhereItIsWrongAndWhatWasMeant) {
    const auto slip = parse_formfile("NAME x\n   ENTRYPIONT a\n");
    ASSERT_FALSE(slip);
    EXPECT_EQ(slip.error().field(), "formfile");
    EXPECT_THAT(
        slip.error().message(),
        HasSubstr("line 2, column 1: unknown instruction \"ENTRYPIONT\"; did you mean ENTRYPOINT?")
    );
    EXPECT_THAT(parse_formfile("run true").error().message(), HasSubstr("did you mean RUN?"));
    EXPECT_THAT(parse_formfile("\tMEM  12").error().message(), HasSubstr("line 1, column 7"));
}

TEST(Formfile, RefusesWhatAShellOrAUnitCouldMisread) {
    for (const auto* wrong :
         {"USER username:Root",
          "USER username:a;b",
          "INSTALL -o=x",
          "COPY ../x /y",
          "COPY a/../b /y",
          "ENV A-B=1",
          "ENV --scope=user:../x A=1",
          "WORKDIR /a/../b",
          "EXPOSE 70000",
          "HEALTHCHECK true"}) {
        EXPECT_FALSE(parse_formfile(wrong)) << wrong;
    }
}

}  // namespace
}  // namespace vmm::domain
