#include "importer.h"

#include "vmm/base/fault.h"
#include "vmm/base/files.h"
#include "vmm/base/text.h"
#include "vmm/form/files.h"
#include "vmm/images/qcow2.h"
#include "vmm/json/value.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "incoming.h"
#include "sandbox.h"

namespace vmm::images {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view architecture = "x86_64";

unsigned threads() {
    return std::clamp(std::thread::hardware_concurrency(), 1U, 4U);
}

struct OpenFile {
    Fd fd;
    std::uint64_t size = 0;

    [[nodiscard]] Bytes bytes() const { return Bytes::of_file(fd.get(), size); }
};

Result<OpenFile> open_file(const fs::path& path) {
    OpenFile file{Fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)}, 0};
    struct stat info{};
    if (!file.fd || ::fstat(file.fd.get(), &info) != 0) {
        return fail(os_error("reading the image"));
    }
    if (!S_ISREG(info.st_mode)) {
        return refused("image-unsupported", "it is no regular file");
    }
    file.size = static_cast<std::uint64_t>(info.st_size);
    return file;
}

Result<void> make_new(const fs::path& folder) {
    std::error_code failed;
    fs::remove_all(folder, failed);
    fs::create_directory(folder, failed);
    return failed ? fail(os_error("making room for the image", failed.value())) : Result<void>{};
}

Result<void> move_file(const fs::path& from, const fs::path& to) {
    if (::rename(from.c_str(), to.c_str()) != 0) {
        return fail(os_error("storing the image"));
    }
    return {};
}

// The single disk of an archive: the one vmdk, qcow2, vhd or raw file beside the descriptions and manifests.
Result<Member> disk_in(const std::vector<Member>& members) {
    std::vector<Member> disks;
    for (const auto& member : members) {
        const auto name = lower(member.name);
        if (name.ends_with(".vmdk") || name.ends_with(".qcow2") || name.ends_with(".vhd") ||
            name.ends_with(".vhdx") || name.ends_with(".img") || name.ends_with(".raw")) {
            disks.push_back(member);
        }
    }
    if (disks.empty()) {
        return refused("image-unsupported", "the archive holds no disk");
    }
    if (disks.size() == 1) {
        return disks.front();
    }
    // A vmdk in parts: the descriptor is the small one.
    const auto smallest = std::ranges::min_element(disks, {}, &Member::bytes);
    if (!lower(smallest->name).ends_with(".vmdk") || smallest->bytes > (1 << 20)) {
        return refused(
            "image-unsupported",
            "the archive holds " + std::to_string(disks.size()) + " disks; import them one by one"
        );
    }
    return *smallest;
}

Result<void> extract(const OpenFile& archive, const Member& member, const fs::path& to) {
    const Fd out{::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    if (!out) {
        return fail(os_error("unpacking the image"));
    }
    auto from = static_cast<off_t>(member.offset);
    for (auto left = member.bytes; left > 0;) {
        const auto copied = ::copy_file_range(archive.fd.get(), &from, out.get(), nullptr, left, 0);
        if (copied <= 0 && errno != EINTR) {
            return fail(os_error("unpacking the image"));
        }
        left -= static_cast<std::uint64_t>(std::max<ssize_t>(copied, 0));
    }
    return {};
}

domain::ImageFacts disk_facts(std::string format, std::uint64_t virtual_bytes) {
    domain::ImageFacts facts;
    facts.format = std::move(format);
    facts.kind = "disk";
    facts.architecture = architecture;
    facts.virtual_bytes = virtual_bytes;
    return facts;
}

}  // namespace

struct Importer::Job {
    fs::path folder;
    fs::path source;
    std::string sha256;
    std::uint64_t most_bytes = 0;
    ProgressView progress;

    [[nodiscard]] fs::path made() const { return folder / "made"; }
};

// Raw and qcow2 are used as they are.
Result<ports::Content> Importer::keep_disk(const Job& job, const Found& found) const {
    struct stat info{};
    if (::stat(job.source.c_str(), &info) != 0) {
        return fail(os_error("storing the image"));
    }
    if (static_cast<std::uint64_t>(info.st_blocks) * 512 > job.most_bytes) {
        return fail(Error{Code::too_large, "the image takes more than the storage that is left to you"}
                        .with_slug("image-over-quota")
                        .with_field("image"));
    }
    CHECK(move_file(job.source, job.made() / "disk"));
    ports::Content content;
    content.id = job.sha256;
    content.sha256 = job.sha256;
    content.facts = disk_facts(found.format, found.virtual_bytes);
    content.boots.disk_format = found.format;
    return vault_.keep(job.made(), std::move(content));
}

// Others become a qcow2 of their own, by qemu-img in the sandbox.
Result<ports::Content> Importer::convert(const Job& job, const Found& found, const Confined& reading) const {
    const auto work = job.folder / "work";
    CHECK(make_new(work));
    for (const auto& [name, path] : reading.inputs) {
        TRY(const auto part, open_file(path));
        CHECK(check_tables(part.bytes()));
    }
    Confined run = reading;
    run.work = work;
    run.most_bytes = 1 << 20;
    const auto input = run.arguments.front();
    run.arguments = {"info", "--output=json", "-f", found.format, input};
    TRY(const auto said, run_confined(settings_, run, nullptr));
    const auto info = json::parse(said);
    const auto* size = info ? info->find("virtual-size") : nullptr;
    const auto* number = size == nullptr ? nullptr : size->as<json::Number>();
    const auto virtual_bytes = number == nullptr ? std::nullopt : parse_number<std::uint64_t>(number->text);
    if (!virtual_bytes) {
        return refused("image-corrupt", "qemu-img does not tell its size");
    }
    if (info->find("backing-filename") != nullptr) {
        return refused("image-backing-file", "the image needs another one below it");
    }
    if (*virtual_bytes > settings_.most_virtual_bytes) {
        return refused(
            "image-too-large",
            "its virtual size of " + std::to_string(*virtual_bytes >> 30) + " GiB is over the limit of " +
                std::to_string(settings_.most_virtual_bytes >> 30) + " GiB"
        );
    }
    run.most_bytes = job.most_bytes;
    run.arguments = {"convert", "-p", "-f", found.format, "-O", "qcow2", input, "/out/disk"};
    CHECK(run_confined(settings_, run, job.progress));
    fault_point("import.converted");
    CHECK(take_back(work / "disk"));
    CHECK(move_file(work / "disk", job.made() / "disk"));
    ports::Content content;
    content.id = job.sha256;
    content.sha256 = job.sha256;
    content.facts = disk_facts(found.format, *virtual_bytes);
    content.boots.disk_format = "qcow2";
    return vault_.keep(job.made(), std::move(content));
}

Result<ports::Content> Importer::from_archive(const Job& job, const Found& found) const {
    TRY(const auto archive, open_file(job.source));
    TRY(const auto disk, disk_in(found.members));
    const auto set = job.folder / "set";
    CHECK(make_new(set));
    CHECK(extract(archive, disk, set / "disk"));
    TRY(const auto file, open_file(set / "disk"));
    TRY(auto inside, probe(file.bytes(), settings_.most_virtual_bytes));
    if (inside.format == "ova" || inside.format == "form") {
        return refused("image-unsupported", "the archive holds " + inside.format + " instead of a disk");
    }
    Confined reading;
    reading.inputs["image"] = set / "disk";
    reading.arguments = {"/in/image"};
    for (const auto& extent : inside.extents) {
        if (extent.name.empty() || inside.virtual_bytes == 0 || reading.inputs.contains(extent.name)) {
            continue;
        }
        const auto member = std::ranges::find(found.members, extent.name, &Member::name);
        if (file.bytes().read(0, 4) == "KDMV") {
            break;  // its one extent is the file itself
        }
        if (member == found.members.end()) {
            return refused(
                "image-truncated", "the vmdk's extent " + quote(extent.name) + " is not in the archive"
            );
        }
        CHECK(extract(archive, *member, set / extent.name));
        reading.inputs[extent.name] = set / extent.name;
    }
    auto content = convert(job, inside, reading);
    return content;
}

Result<domain::ImageFacts> Importer::facts_of(const form::Index& index) const {
    const auto& manifest = index.manifest;
    domain::ImageFacts facts;
    facts.format = "form";
    facts.kind = manifest.kind;
    facts.architecture = manifest.architecture;
    facts.virtual_bytes = manifest.kind == "disk" ? index.content_bytes() : 0;
    facts.root = to_hex(index.root());
    facts.version = manifest.version;
    facts.description = manifest.description;
    facts.vcpus = manifest.vcpus;
    facts.memory_mib = manifest.memory_mib;
    facts.minimum_disk_gib = manifest.minimum_disk_gib;
    if (index.header.is_signed) {
        const auto signer = form::publisher(index, signatures_);
        if (!signer) {
            return refused("image-bad-signature", signer.error().message());
        }
        facts.publisher = signer->text();
    } else if (!manifest.publisher.empty()) {
        return refused("image-bad-signature", "the manifest names a publisher, but the image is not signed");
    }
    facts.trust = vault_.trust(facts);
    if (settings_.refuse_untrusted && facts.trust != domain::Trust::trusted) {
        return refused(
            "image-untrusted",
            facts.publisher.empty()
                ? "the image is not signed, and this host takes signed images alone"
                : "its publisher " + facts.publisher + " is not among this host's trusted_publishers"
        );
    }
    return facts;
}

Result<ports::Content> Importer::from_form(const Job& job) const {
    TRY(const auto file, open_file(job.source));
    auto index = form::read_index_of(file.fd.get());
    if (!index) {
        return refused("image-corrupt", index.error().message());
    }
    TRY(auto facts, facts_of(*index));
    if (facts.virtual_bytes > settings_.most_virtual_bytes) {
        return refused(
            "image-too-large",
            "its virtual size is over the limit of " + std::to_string(settings_.most_virtual_bytes >> 30) +
                " GiB"
        );
    }
    if (auto same = vault_.find(facts.root)) {
        return *std::move(same);
    }
    const auto made = job.made();
    TRY(const auto out,
        form::Extraction::begin(
            *index, {{"disk", made / "disk"}, {"kernel", made / "kernel"}, {"initrd", made / "initrd"}}
        ));
    std::atomic<std::uint64_t> written{file.size};
    const form::Take take = [&](std::uint64_t chunk, std::string_view content) -> Result<void> {
        if ((written += content.size()) > job.most_bytes) {
            return fail(Error{Code::too_large, "the image unpacks to more than it may"}
                            .with_slug("image-over-quota")
                            .with_field("image"));
        }
        return out.write(index->place(chunk), content);
    };
    if (auto unpacked = form::unpack(file.fd.get(), *index, threads(), take, job.progress); !unpacked) {
        return unpacked.error().slug() == "form-damaged"
                   ? refused("image-corrupt", unpacked.error().message())
                   : std::unexpected{unpacked.error()};
    }
    fault_point("import.converted");
    CHECK(move_file(job.source, made / "image.form"));
    ports::Content content;
    content.id = facts.root;
    content.sha256 = job.sha256;
    content.facts = std::move(facts);
    content.boots.disk_format = index->manifest.kind == "disk" ? "raw" : "";
    content.boots.firmware = index->manifest.firmware == "uefi" ? "uefi" : "";
    content.boots.command_line = index->manifest.command_line;
    content.boots.initrd = index->manifest.files.size() > 1 ? "initrd" : "";
    return vault_.keep(made, std::move(content));
}

Result<ports::Content> Importer::admit(
    const fs::path& folder,
    std::string sha256,
    std::uint64_t most_bytes,
    const ProgressView& progress
) const {
    Job job{folder, folder / "source", std::move(sha256), most_bytes, progress};
    if (job.sha256.empty()) {
        TRY(job.sha256, sha256_of({job.source}, progress));
    }
    if (auto same = vault_.find_sha256(job.sha256)) {
        return *std::move(same);
    }
    TRY(const auto file, open_file(job.source));
    TRY(const auto found, probe(file.bytes(), settings_.most_virtual_bytes));
    CHECK(make_new(job.made()));
    if (found.format == "raw") {
        return keep_disk(job, found);
    }
    if (found.format == "qcow2") {
        CHECK(check_tables(file.bytes()));
        return keep_disk(job, found);
    }
    if (found.format == "form") {
        return from_form(job);
    }
    if (found.format == "ova") {
        return from_archive(job, found);
    }
    Confined reading;
    reading.inputs["image"] = job.source;
    reading.arguments = {"/in/image"};
    const bool own_data = file.bytes().read(0, 4) == "KDMV" || found.format != "vmdk";
    if (!own_data) {
        // A descriptor; its extents were copied beside it.
        for (const auto& extent : found.extents) {
            if (extent.name.empty()) {
                continue;
            }
            if (!fs::is_regular_file(folder / "set" / extent.name)) {
                return fail(Error{
                    Code::invalid,
                    "the vmdk is a descriptor, and its extent " + quote(extent.name) + " did not come with it"
                }
                                .with_slug("image-truncated")
                                .with_field("image")
                                .with_hint("bring descriptor and extents together in one tar archive"));
            }
            reading.inputs[extent.name] = folder / "set" / extent.name;
        }
    }
    return convert(job, found, reading);
}

Result<ports::Content> Importer::convert_in_place(
    const fs::path& folder,
    const fs::path& file,
    const std::string& sha256,
    const Found& found,
    std::uint64_t most_bytes,
    const ProgressView& progress
) const {
    const Job job{folder, file, sha256, most_bytes, progress};
    CHECK(make_new(job.made()));
    Confined reading;
    reading.inputs["image"] = file;
    reading.arguments = {"/in/image"};
    for (const auto& extent : found.extents) {
        if (!extent.name.empty()) {
            reading.inputs[extent.name] = file.parent_path() / extent.name;
        }
    }
    return convert(job, found, reading);
}

Result<void> Importer::flatten(
    const fs::path& folder,
    const ports::Image& base,
    const domain::Image& described,
    std::uint64_t most_bytes,
    const ProgressView& progress
) const {
    const auto work = folder / "work";
    CHECK(make_new(work));
    Confined run;
    run.work = work;
    run.most_bytes = most_bytes;
    run.inputs["disk"] = folder / "disk.qcow2";
    std::string backing = "null";
    if (!base.disk.empty()) {
        run.inputs["base"] = base.disk;
        backing =
            R"({"driver":")" + base.disk_format + R"(","file":{"driver":"file","filename":"/in/base"}})";
    }
    const auto whole =
        R"(json:{"driver":"qcow2","file":{"driver":"file","filename":"/in/disk"},"backing":)" + backing + "}";
    // A .form is cut from a raw disk; zeros stay holes in both.
    run.arguments = {
        "convert", "-p", "-S", "4k", "-O", described.as_form ? "raw" : "qcow2", whole, "/out/disk"
    };
    if (described.as_form) {
        run.most_bytes = settings_.most_virtual_bytes;
    }
    CHECK(run_confined(settings_, run, progress));
    fault_point("publish.flattened");
    CHECK(take_back(work / "disk"));
    if (!described.as_form) {
        return move_file(work / "disk", folder / "source");
    }
    form::Packing packing;
    packing.manifest.name = described.name;
    packing.manifest.version = described.wanted_version;
    packing.manifest.architecture = architecture;
    packing.manifest.kind = "disk";
    packing.inputs["disk"] = work / "disk";
    packing.output = folder / "source";
    packing.threads = threads();
    CHECK(form::pack(std::move(packing), progress));
    return {};
}

}  // namespace vmm::images
