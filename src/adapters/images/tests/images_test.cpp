#include "vmm/base/files.h"
#include "vmm/base/ids.h"
#include "vmm/crypto/signatures.h"
#include "vmm/images/qcow2.h"
#include "vmm/images/store.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "probe.h"
#include "sandbox.h"

namespace vmm::images {
namespace {

namespace fs = std::filesystem;
using domain::ImageStatus;

class Images : public ::testing::Test {
protected:
    Images() {
        char name[] = "/tmp/vmm-images-XXXXXX";
        folder = mkdtemp(name);
        Settings settings;
        settings.folder = folder;
        settings.owner = "me";
        store = *create_image_store(loop.get_executor(), settings, *signatures);
        disks = create_disk_store(settings);
    }

    ~Images() override {
        store.reset();
        fs::remove_all(folder);
    }

    void put(const fs::path& name, std::string_view content) {
        fs::create_directories((folder / name).parent_path());
        ASSERT_TRUE(write_file(folder / name, content, 0600));
    }

    std::string refusal(const std::string& name) {
        const auto image = store->find_dropped(name);
        return !image ? "absent" : image->status == ImageStatus::refused ? image->reason : "accepted";
    }

    // qemu-img's own opinion of a file.
    static int qemu_img(const std::string& arguments) {
        return std::system(("qemu-img " + arguments + " >/dev/null 2>&1").c_str());
    }

    asio::io_context loop;
    std::unique_ptr<ports::Signatures> signatures = crypto::create_signatures();
    fs::path folder;
    std::unique_ptr<ports::ImageStore> store;
    std::unique_ptr<ports::DiskStore> disks;
};

TEST_F(Images, FindAKernelByItsManifest) {
    put("tiny/image.json",
        R"({"format":1,"kind":"kernel","kernel":"k","initrd":"i","command_line":"quiet","memory_mib":128})");
    put("tiny/k", "kernel");
    put("tiny/i", "initrd");
    const auto image = store->find_dropped("tiny");
    ASSERT_TRUE(image);
    EXPECT_EQ(image->status, ImageStatus::ready) << image->reason;
    EXPECT_EQ(image->content.boots.kernel, folder / "tiny" / "k");
    EXPECT_EQ(image->content.boots.memory_mib, 128U);
}

TEST_F(Images, RefuseManifestsThatLeaveTheirFolderOrBreakTheCommandLine) {
    put("a/image.json", R"({"format":1,"kind":"kernel","kernel":"../../etc/passwd"})");
    put("b/image.json", R"({"format":1,"kind":"kernel","kernel":"k","command_line":"a\" b"})");
    put("b/k", "");
    put("c/image.json", R"({"format":2,"kind":"kernel","kernel":"k"})");
    put("d/image.json", "{");
    put("e/image.json", R"({"format":1,"kind":"kernel","kernel":"missing"})");
    for (const auto* name : {"a", "b", "c", "d", "e"}) {
        const auto image = store->find_dropped(name);
        ASSERT_TRUE(image) << name;
        EXPECT_EQ(image->status, ImageStatus::refused) << name;
        EXPECT_FALSE(image->reason.empty()) << name;
    }
}

TEST_F(Images, FindWhatAFolderLackedOnceItComes) {
    put("late/image.json", "");
    EXPECT_EQ(store->find_dropped("late")->status, ImageStatus::refused);
    put("late/image.json", R"({"format":1,"kind":"kernel","kernel":"k"})");
    EXPECT_EQ(store->find_dropped("late")->reason, "k is missing");
    put("late/k", "kernel");
    EXPECT_EQ(store->find_dropped("late")->status, ImageStatus::ready);
}

TEST_F(Images, TellDisksApartByContent) {
    put("plain.qcow2", std::string(1024, 'x'));
    ASSERT_TRUE(create_qcow2(folder / "disk.raw", 1 << 20, {}));
    EXPECT_EQ(store->find_dropped("plain")->content.boots.disk_format, "raw");
    EXPECT_EQ(store->find_dropped("disk")->content.boots.disk_format, "qcow2");
    EXPECT_EQ(store->find_dropped("disk")->content.boots.disk_bytes, 1U << 20);
    EXPECT_EQ(store->dropped().size(), 2U);
}

TEST_F(Images, SeeAFileThatHasChanged) {
    put("a.img", std::string(1000, 'x'));
    EXPECT_NE(refusal("a"), "accepted");
    put("a.img", std::string(1024, 'x'));
    EXPECT_EQ(refusal("a"), "accepted");
    fs::remove(folder / "a.img");
    EXPECT_EQ(refusal("a"), "absent");
}

TEST_F(Images, RefuseAQcow2ThatRefersToAnotherFile) {
    ASSERT_TRUE(create_qcow2(folder / "evil.qcow2", 1 << 20, Backing{"/etc/passwd", "raw"}));
    EXPECT_TRUE(refusal("evil").contains("backing file"));
}

TEST_F(Images, MakeDisksThatQemuImgFindsSound) {
    put("base.img", std::string(3 << 20, 'x'));
    const auto vm = new_id("vm");
    const auto disk = disks->make_root(vm, store->find_dropped("base")->content.boots, 1);
    ASSERT_TRUE(disk) << disk.error().message();
    EXPECT_EQ(qemu_img("check -q " + disk->string()), 0);
    // qemu-img takes what lies beyond the shorter image as zeros, as a machine does.
    EXPECT_EQ(
        qemu_img("compare -f qcow2 -F raw " + disk->string() + " " + (folder / "base.img").string()), 0
    );
    EXPECT_EQ(*disks->all(), std::vector{vm});
    EXPECT_TRUE(disks->make_root(vm, store->find_dropped("base")->content.boots, 1)) << "again";
    EXPECT_TRUE(disks->remove(vm));
    EXPECT_TRUE(disks->remove(vm)) << "again";
    EXPECT_TRUE(disks->all()->empty());
    // What a killed service had begun is no disk, is found, and is in nobody's way.
    const auto draft = draft_of(disks->path(vm));
    ASSERT_TRUE(write_file(draft, "QF", 0600));
    EXPECT_EQ(*disks->all(), std::vector{vm});
    const auto made = disks->make_root(vm, store->find_dropped("base")->content.boots, 1);
    ASSERT_TRUE(made);
    EXPECT_EQ(qemu_img("check -q " + made->string()), 0);
    EXPECT_FALSE(fs::exists(draft));
    ASSERT_TRUE(write_file(draft, "QF", 0600));
    EXPECT_TRUE(disks->remove(vm));
    EXPECT_TRUE(disks->all()->empty());
}

TEST_F(Images, MakeEmptyDisksOfTheLargestSizes) {
    for (const std::uint64_t gib : {1ULL, 10ULL, 65535ULL}) {
        const auto file = folder / (std::to_string(gib) + ".qcow2");
        ASSERT_TRUE(create_qcow2(file, gib << 30, {}));
        EXPECT_EQ(qemu_img("check -q " + file.string()), 0) << gib;
        EXPECT_FALSE(create_qcow2(file, gib << 30, {})) << "exists";
    }
}

TEST_F(Images, GrowADiskInPlaceWithItsDataAsItWas) {
    put("base.img", std::string(3 << 20, 'x'));
    const auto file = folder / "disk.qcow2";
    ASSERT_TRUE(create_qcow2(file, 1ULL << 30, Backing{folder / "base.img", "raw"}));
    ASSERT_EQ(
        std::system(("qemu-io -f qcow2 -c 'write -P 7 1M 64k' " + file.string() + " >/dev/null").c_str()), 0
    );
    ASSERT_TRUE(*grow_qcow2(file, 3000ULL << 30));
    EXPECT_EQ(qcow2_bytes(file), 3000ULL << 30);
    EXPECT_EQ(qemu_img("check -q " + file.string()), 0);
    EXPECT_EQ(
        std::system(("qemu-io -f qcow2 -c 'read -P 7 1M 64k' -c 'write -P 8 2999G 64k' " + file.string() +
                     " | grep -q 'ops'")
                        .c_str()),
        0
    );
    EXPECT_EQ(qemu_img("check -q " + file.string()), 0);
    EXPECT_FALSE(grow_qcow2(file, 1ULL << 30)) << "shrinks";
    EXPECT_FALSE(*grow_qcow2(file, 8192ULL << 30)) << "has no room in its table";
}

TEST_F(Images, CopyADiskWithItsHoles) {
    const auto from = folder / "from";
    const Fd file{::open(from.c_str(), O_RDWR | O_CREAT, 0600)};
    ASSERT_EQ(::ftruncate(file.get(), 64 << 20), 0);
    ASSERT_EQ(::pwrite(file.get(), "data", 4, 32 << 20), 4);
    std::optional<Result<void>> done;
    asio::co_spawn(
        loop,
        disks->copy(from, folder / "to"),
        [&](const std::exception_ptr&, Result<void> result) { done = result; }
    );
    while (!done) {
        loop.run_one();
    }
    ASSERT_TRUE(*done) << done->error().message();
    EXPECT_EQ(std::system(("cmp " + from.string() + " " + (folder / "to").string()).c_str()), 0);
    struct stat info{};
    ASSERT_EQ(::stat((folder / "to").c_str(), &info), 0);
    EXPECT_LT(info.st_blocks, 64);
}

// A program that never ends stands in for a qemu-img that an image has caught.
TEST_F(Images, EndAConversionThatTakesTooLong) {
    Settings settings;
    settings.qemu_img = "/usr/bin/sleep";
    settings.time_limit = std::chrono::seconds{1};
    Confined run;
    run.arguments = {"100"};
    run.work = folder / "work";
    run.most_bytes = 1;
    fs::create_directory(run.work);
    EXPECT_EQ(run_confined(settings, run, nullptr).error().code(), Code::timed_out);
    const auto progress = std::make_shared<Progress>();
    progress->unwanted = true;
    EXPECT_EQ(run_confined(settings, run, progress).error().code(), Code::cancelled);
}

std::string slug_of(const Result<Found>& found) {
    return found ? "accepted" : std::string{found.error().slug()};
}

TEST(Probe, ReadsVmdkDescriptors) {
    const std::string head =
        "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n";
    const auto found = read_vmdk_descriptor(head + "RW 2048 FLAT \"a-flat.vmdk\" 0\n");
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_EQ(found->virtual_bytes, 1U << 20);
    EXPECT_EQ(found->extents.at(0).name, "a-flat.vmdk");
    EXPECT_EQ(slug_of(read_vmdk_descriptor(head + "RW 2048 FLAT \"../a\" 0\n")), "image-extent-escapes");
    EXPECT_EQ(
        slug_of(read_vmdk_descriptor(head + "RW 2048 FLAT \"/etc/passwd\" 0\n")), "image-extent-escapes"
    );
    EXPECT_EQ(slug_of(read_vmdk_descriptor(head + "RW 2048 VMFS \"a\"\n")), "image-unsupported");
    EXPECT_EQ(slug_of(read_vmdk_descriptor(head)), "image-corrupt");
    EXPECT_EQ(
        slug_of(
            read_vmdk_descriptor("createType=\"monolithicSparse\"\nparentCID=12345678\nRW 1 SPARSE \"a\"\n")
        ),
        "image-backing-file"
    );
}

TEST(Probe, ReadsTarArchives) {
    std::string archive(512 * 4, '\0');
    archive.replace(0, 6, "a.vmdk");
    archive.replace(124, 11, "00000000005");
    archive[156] = '0';
    archive.replace(257, 5, "ustar");
    const auto members = read_tar(Bytes::of_text(archive));
    ASSERT_TRUE(members) << members.error().message();
    EXPECT_EQ(members->at(0).name, "a.vmdk");
    EXPECT_EQ(members->at(0).offset, 512U);
    EXPECT_EQ(members->at(0).bytes, 5U);
    archive.replace(0, 6, "../a.v");
    EXPECT_EQ(read_tar(Bytes::of_text(archive)).error().slug(), "image-extent-escapes");
    archive.replace(124, 11, "77777777777");
    EXPECT_EQ(read_tar(Bytes::of_text(archive)).error().slug(), "image-truncated");
}

}  // namespace
}  // namespace vmm::images
