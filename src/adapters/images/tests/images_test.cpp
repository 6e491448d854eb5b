#include "vmm/base/files.h"
#include "vmm/base/ids.h"
#include "vmm/images/qcow2.h"
#include "vmm/images/store.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace vmm::images {
namespace {

namespace fs = std::filesystem;

class Images : public ::testing::Test {
protected:
    Images() {
        char name[] = "/tmp/vmm-images-XXXXXX";
        folder = mkdtemp(name);
        store = create_image_store(folder, "me");
    }

    ~Images() override { fs::remove_all(folder); }

    void put(const fs::path& name, std::string_view content) {
        fs::create_directories((folder / name).parent_path());
        ASSERT_TRUE(write_file(folder / name, content, 0600));
    }

    // qemu-img's own opinion of a file.
    int qemu_img(const std::string& arguments) {
        return std::system(("qemu-img " + arguments + " >/dev/null 2>&1").c_str());
    }

    fs::path folder;
    std::unique_ptr<ports::ImageStore> store;
};

TEST_F(Images, FindAKernelByItsManifest) {
    put("tiny/image.json",
        R"({"format":1,"kind":"kernel","kernel":"k","initrd":"i","command_line":"quiet","memory_mib":128})");
    put("tiny/k", "kernel");
    put("tiny/i", "initrd");
    const auto image = store->find("tiny");
    ASSERT_TRUE(image) << image.error().message();
    EXPECT_EQ(image->kernel, folder / "tiny" / "k");
    EXPECT_EQ(image->memory_mib, 128U);
}

TEST_F(Images, RefuseManifestsThatLeaveTheirFolderOrBreakTheCommandLine) {
    put("a/image.json", R"({"format":1,"kind":"kernel","kernel":"../../etc/passwd"})");
    put("b/image.json", R"({"format":1,"kind":"kernel","kernel":"k","command_line":"a\" b"})");
    put("b/k", "");
    put("c/image.json", R"({"format":2,"kind":"kernel","kernel":"k"})");
    put("d/image.json", "{");
    put("e/image.json", R"({"format":1,"kind":"kernel","kernel":"missing"})");
    for (const auto* name : {"a", "b", "c", "d", "e"}) {
        const auto refused = store->find(name);
        ASSERT_FALSE(refused) << name;
        EXPECT_EQ(refused.error().slug(), "bad-image") << name;
    }
}

TEST_F(Images, SayWhichThereAreWhenOneIsUnknown) {
    put("tiny/image.json", "{}");
    const auto unknown = store->find("tiyn");
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().slug(), "unknown-image");
    EXPECT_EQ(unknown.error().hint(), "images here: tiny");
}

TEST_F(Images, TellDisksApartByContent) {
    put("plain.img", std::string(1024, 'x'));
    ASSERT_TRUE(create_qcow2(folder / "disk.raw", 1 << 20, {}));
    EXPECT_EQ(store->find("plain")->disk_format, "raw");
    EXPECT_EQ(store->find("disk")->disk_format, "qcow2");
    EXPECT_EQ(store->find("disk")->disk_bytes, 1U << 20);
}

TEST_F(Images, RefuseAQcow2ThatRefersToAnotherFile) {
    ASSERT_TRUE(create_qcow2(folder / "evil.qcow2", 1 << 20, Backing{"/etc/passwd", "raw"}));
    EXPECT_EQ(store->find("evil").error().slug(), "bad-image");
}

TEST_F(Images, MakeDisksThatQemuImgFindsSound) {
    put("base.img", std::string(3 << 20, 'x'));
    const auto vm = new_id("vm");
    const auto disk = store->make_disk(vm, *store->find("base"), 1);
    ASSERT_TRUE(disk) << disk.error().message();
    EXPECT_EQ(qemu_img("check -q " + disk->string()), 0);
    // qemu-img takes what lies beyond the shorter image as zeros, as a machine does.
    EXPECT_EQ(
        qemu_img("compare -f qcow2 -F raw " + disk->string() + " " + (folder / "base.img").string()), 0
    );
    EXPECT_EQ(*store->disks(), std::vector{vm});
    EXPECT_TRUE(store->make_disk(vm, *store->find("base"), 1)) << "again";
    EXPECT_TRUE(store->remove_disk(vm));
    EXPECT_TRUE(store->remove_disk(vm)) << "again";
    EXPECT_TRUE(store->disks()->empty());
}

TEST_F(Images, MakeEmptyDisksOfTheLargestSizes) {
    for (const std::uint64_t gib : {1ULL, 10ULL, 65535ULL}) {
        const auto file = folder / (std::to_string(gib) + ".qcow2");
        ASSERT_TRUE(create_qcow2(file, gib << 30, {}));
        EXPECT_EQ(qemu_img("check -q " + file.string()), 0) << gib;
        EXPECT_FALSE(create_qcow2(file, gib << 30, {})) << "exists";
    }
}

}  // namespace
}  // namespace vmm::images
