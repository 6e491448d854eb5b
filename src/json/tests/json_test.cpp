#include "vmm/json/decode.h"
#include "vmm/json/encode.h"
#include "vmm/json/write.h"

#include <gtest/gtest.h>

#include <array>

namespace vmm::json {
namespace {

enum class Colour { red, green };
BOOST_DESCRIBE_ENUM(Colour, red, green)

struct Disk {
    std::string image;
    std::uint16_t size = 3;
    static constexpr std::array required{"image"};
};
BOOST_DESCRIBE_STRUCT(Disk, (), (image, size))

struct Machine {
    std::string name;
    std::vector<Disk> disks;
    std::map<std::string, std::string> labels;
    Colour colour = Colour::red;
    std::optional<bool> start;
};
BOOST_DESCRIBE_STRUCT(Machine, (), (name, disks, labels, colour, start))

std::string rewritten(std::string_view text) {
    const auto value = parse(text);
    return value ? canonical(*value) : "refused: " + value.error().message();
}

TEST(Canonical, SortsByCodePointAndSpacesLikePython) {
    EXPECT_EQ(
        rewritten(R"({"b":1,"a":[1,2.50,true,null],"é":"x"})"),
        R"({"a": [1, 2.5, true, null], "b": 1, "\u00e9": "x"})"
    );
}

TEST(Canonical, EscapesLikePython) {
    EXPECT_EQ(rewritten("\"\\u007f\\/\\t\\u0001\xf0\x9f\x98\x80\""), R"("\u007f/\t\u0001\ud83d\ude00")");
}

TEST(Canonical, KeepsIntegersOfAnySizeAndWritesFloatsLikePython) {
    EXPECT_EQ(
        rewritten("[123456789012345678901234567890,-0,-0.0,1e5,1E16,0.0001,0.00001,1e-7,1.0,5e-324,1e-999]"),
        "[123456789012345678901234567890, 0, -0.0, 100000.0, 1e+16, 0.0001, 1e-05, 1e-07, 1.0, 5e-324, 0.0]"
    );
}

TEST(Parse, RefusesWhatTheSigningRulesRefuse) {
    for (const auto* text : {
             "",
             "{",
             "{\"a\":1,\"a\":2}",
             "[1e400]",
             "NaN",
             "Infinity",
             "\"\\ud800\"",
             "\"\xff\"",
             "[1,]",
             "{} {}",
             "'a'",
             "01",
         }) {
        const auto refused = parse(text);
        ASSERT_FALSE(refused) << text;
        EXPECT_EQ(refused.error().code(), Code::malformed) << text;
    }
}

TEST(Parse, LimitsNesting) {
    const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
    EXPECT_TRUE(parse(nested(max_depth)));
    EXPECT_FALSE(parse(nested(max_depth + 1)));
    EXPECT_FALSE(parse(std::string(1'000'000, '[')));
}

TEST(Decode, ReadsAllKindsAndKeepsDefaults) {
    const auto machine = decode_text<Machine>(
        R"({"name":"web","disks":[{"image":"a"}],"labels":{"k":"v"},"colour":"green","start":null})"
    );
    ASSERT_TRUE(machine) << machine.error().message();
    EXPECT_EQ(machine->disks.at(0).size, 3);
    EXPECT_EQ(machine->colour, Colour::green);
    EXPECT_FALSE(machine->start);
    EXPECT_EQ(
        encode(*machine),
        R"({"name":"web","disks":[{"image":"a","size":3}],"labels":{"k":"v"},"colour":"green","start":null})"
    );
}

struct Refusal {
    const char* text;
    const char* field;
    const char* slug;
};

class DecodeRefuses : public ::testing::TestWithParam<Refusal> {};

TEST_P(DecodeRefuses, AndNamesTheField) {
    const auto machine = decode_text<Machine>(GetParam().text);
    ASSERT_FALSE(machine);
    EXPECT_EQ(machine.error().field(), GetParam().field);
    EXPECT_EQ(machine.error().slug(), GetParam().slug);
}

INSTANTIATE_TEST_SUITE_P(
    All,
    DecodeRefuses,
    ::testing::Values(
        Refusal{R"({"nmae":"x"})", "nmae", "unknown-field"},
        Refusal{R"({"name":1})", "name", "invalid-value"},
        Refusal{R"({"disks":{}})", "disks", "invalid-value"},
        Refusal{R"({"disks":[{"image":"a"},{"size":1}]})", "disks[1].image", "invalid-value"},
        Refusal{R"({"disks":[{"image":"a","size":70000}]})", "disks[0].size", "invalid-value"},
        Refusal{R"({"disks":[{"image":"a","size":-1}]})", "disks[0].size", "invalid-value"},
        Refusal{R"({"disks":[{"image":"a","size":1.5}]})", "disks[0].size", "invalid-value"},
        Refusal{R"({"labels":{"a":1}})", "labels.a", "invalid-value"},
        Refusal{R"({"colour":"blue"})", "colour", "invalid-value"},
        Refusal{R"({"start":"yes"})", "start", "invalid-value"},
        Refusal{R"([])", "", "invalid-value"}
    )
);

}  // namespace
}  // namespace vmm::json
