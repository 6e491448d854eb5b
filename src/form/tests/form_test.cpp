#include "vmm/base/files.h"
#include "vmm/base/text.h"
#include "vmm/crypto/signatures.h"
#include "vmm/form/files.h"

#include <gtest/gtest.h>

#include <fcntl.h>

#include <cstdlib>
#include <filesystem>

namespace vmm::form {
namespace {

namespace fs = std::filesystem;

class Form : public ::testing::Test {
protected:
    Form() {
        char name[] = "/tmp/vmm-form-XXXXXX";
        folder = mkdtemp(name);
        content.assign(3 * 4096 + 100, '\0');
        for (std::size_t i = 0; i < 4096; ++i) {
            content[i] = static_cast<char>("formation"[i % 9]);                  // compresses
            content[2 * 4096 + i] = static_cast<char>((i * 2654435761U) >> 13);  // hardly does
        }
        EXPECT_TRUE(write_file(folder / "disk", content, 0600));
    }

    ~Form() override { fs::remove_all(folder); }

    Packing packing(const fs::path& output) const {
        Packing what;
        what.manifest.name = "sample";
        what.manifest.version = "1.2";
        what.manifest.architecture = "x86_64";
        what.manifest.kind = "disk";
        what.manifest.chunk_bytes = 4096;
        what.inputs["disk"] = folder / "disk";
        what.output = output;
        return what;
    }

    Packing signed_packing(const fs::path& output) const {
        auto what = packing(output);
        what.manifest.publisher = signer.address().text();
        what.sign = [this](std::string_view text) {
            const auto signature = signer.sign(text);
            std::array<std::uint8_t, 65> out{};
            std::copy(signature.rs.begin(), signature.rs.end(), out.begin());
            out[64] = static_cast<std::uint8_t>(27 + signature.recovery_id);
            return out;
        };
        return what;
    }

    Result<std::string> unpacked(const std::string& image) const {
        const auto file = folder / "image";
        EXPECT_TRUE(write_file(file, image, 0600));
        const Fd fd{::open(file.c_str(), O_RDONLY)};
        TRY(const auto index, read_index_of(fd.get()));
        const auto out = folder / "out";
        fs::remove(out);
        TRY(const auto extraction, Extraction::begin(index, {{"disk", out}}));
        CHECK(unpack(
            fd.get(),
            index,
            2,
            [&](std::uint64_t chunk, std::string_view bytes) {
                return extraction.write(index.place(chunk), bytes);
            },
            nullptr
        ));
        return read_file(out);
    }

    std::string packed(Packing what) const {
        EXPECT_TRUE(pack(what, nullptr));
        return *read_file(what.output);
    }

    fs::path folder;
    std::string content;
    crypto::Signer signer = *crypto::Signer::from_bytes(std::vector<std::uint8_t>(32, 7));
    std::unique_ptr<ports::Signatures> signatures = crypto::create_signatures();
};

TEST_F(Form, GivesBackWhatWasPacked) {
    EXPECT_EQ(unpacked(packed(packing(folder / "a"))), content);
}

TEST_F(Form, PacksTheSameInputIntoTheSameBytes) {
    const auto one = packed(signed_packing(folder / "a"));
    auto again = signed_packing(folder / "b");
    again.threads = 5;
    EXPECT_EQ(one, packed(again));
}

TEST_F(Form, LeavesOutZeros) {
    const Fd fd{::open((packed(packing(folder / "a")), folder / "a").c_str(), O_RDONLY)};
    const auto index = read_index_of(fd.get());
    ASSERT_TRUE(index);
    ASSERT_EQ(index->chunks.size(), 4U);
    EXPECT_LT(index->chunks[0].stored, 200U);
    EXPECT_EQ(index->chunks[1].stored, 0U);
    EXPECT_EQ(index->chunks[3].stored, 0U);
    EXPECT_EQ(index->place(3).bytes, 100U);
}

TEST_F(Form, KnowsItsPublisher) {
    const auto image = packed(signed_packing(folder / "a"));
    const auto index = read_index(image);
    ASSERT_TRUE(index) << index.error().message();
    const auto who = publisher(*index, *signatures);
    ASSERT_TRUE(who) << who.error().message();
    EXPECT_EQ(*who, signer.address());
}

TEST_F(Form, TellsAnotherManifestByTheSignature) {
    auto image = packed(signed_packing(folder / "a"));
    const auto at = image.find("1.2");
    image[at] = '2';
    const auto index = read_index(image);
    ASSERT_TRUE(index);
    EXPECT_FALSE(publisher(*index, *signatures));
}

TEST_F(Form, FindsEachFlippedBitAtItsChunk) {
    const auto image = packed(packing(folder / "a"));
    const auto index = read_index(image);
    ASSERT_TRUE(index);
    auto at = index->header.index_bytes();
    for (std::uint64_t chunk = 0; chunk < index->chunks.size(); ++chunk) {
        const auto stored = index->chunks[chunk].stored;
        for (std::uint64_t byte = 0; byte < stored; byte += 37) {
            auto bad = image;
            bad[at + byte] = static_cast<char>(bad[at + byte] ^ 0x10);
            const auto refused = unpacked(bad);
            ASSERT_FALSE(refused) << chunk << " " << byte;
            EXPECT_TRUE(refused.error().message().starts_with("chunk " + std::to_string(chunk) + " "))
                << refused.error().message();
        }
        at += stored;
    }
}

TEST_F(Form, SurvivesEveryFlippedBitAndEveryCutOfItsIndex) {
    const auto image = packed(signed_packing(folder / "a"));
    const auto bytes = read_index(image)->header.index_bytes();
    const auto root = read_index(image)->root();
    for (std::size_t byte = 0; byte < bytes; ++byte) {
        EXPECT_FALSE(read_index(image.substr(0, byte))) << byte;
        auto bad = image;
        bad[byte] = static_cast<char>(bad[byte] ^ 0x04);
        const auto index = read_index(bad);
        // Whatever still reads is another image, or has another signature; sizes of stored chunks alone are
        // not signed.
        if (index && index->root() == root && bad.substr(0, header_bytes) == image.substr(0, header_bytes)) {
            EXPECT_FALSE(unpacked(bad)) << byte;
        }
    }
}

TEST_F(Form, RefusesAbsurdClaimsBeforeTakingMemory) {
    auto image = packed(packing(folder / "a"));
    image[19] = '\x7f';
    EXPECT_FALSE(read_header(image));
    EXPECT_FALSE(read_header(std::string_view{image}.substr(0, 100)));
    auto longer = packed(packing(folder / "a")) + "x";
    EXPECT_FALSE(unpacked(longer)) << "trailing bytes";
}

TEST_F(Form, LeavesNothingBehindWhenPackingFails) {
    auto what = packing(folder / "a");
    what.manifest.kind = "kernel";
    EXPECT_FALSE(pack(what, nullptr));
    EXPECT_FALSE(fs::exists(folder / "a"));
    EXPECT_FALSE(fs::exists(folder / "a.unfinished"));
}

// docs/form-image.md gives these bytes for others to check theirs against.
TEST_F(Form, HasTheRootThatTheSpecificationGives) {
    ASSERT_TRUE(write_file(folder / "disk", std::string(4096, 'A') + std::string(4096, '\0') + "end", 0600));
    const auto image = packed(packing(folder / "a"));
    const auto index = read_index(image);
    ASSERT_TRUE(index);
    EXPECT_EQ(
        to_hex(index->chunks[0].sha256), "6896d9ea3f73a4434f5832bc65714e7d066f177373f36f34dc8a6f735daa41b1"
    );
    EXPECT_EQ(to_hex(index->root()), "9e02a0041b0c01709dda242840dcecba1277b4bef9c219d885c4141ff03bbeb6");
}

}  // namespace
}  // namespace vmm::form
