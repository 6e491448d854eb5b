#include "vmm/base/files.h"
#include "vmm/base/text.h"
#include "vmm/crypto/signatures.h"
#include "vmm/form/files.h"
#include "vmm/json/decode.h"
#include "vmm/json/encode.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "app.h"
#include "bar.h"
#include "client.h"
#include "output.h"

// Commands that work on .form files alone, without a service.
namespace vmm::cli {
namespace {

struct PackOptions {
    form::Manifest manifest;
    std::string disk;
    std::string kernel;
    std::string initrd;
    std::string folder;  // with an image.json
    std::string output;
    std::string vcpus;
    bool sign = false;
};

// The image.json of a kernel folder, see docs/images.md.
struct Folder {
    int format = 0;
    std::string kind;
    std::string architecture;
    std::string description;
    std::string kernel;
    std::string initrd;
    std::string command_line;
    std::optional<std::uint32_t> vcpus;
    std::optional<std::uint32_t> memory_mib;
};
BOOST_DESCRIBE_STRUCT(
    Folder,
    (),
    (format, kind, architecture, description, kernel, initrd, command_line, vcpus, memory_mib)
)

unsigned threads() {
    return std::clamp(std::thread::hardware_concurrency(), 1U, 8U);
}

Result<void> take_folder(PackOptions& options) {
    TRY(const auto text, read_file(options.folder + "/image.json"));
    TRY(const auto folder, json::decode_text<Folder>(text));
    options.kernel = options.folder + "/" + folder.kernel;
    options.initrd = folder.initrd.empty() ? "" : options.folder + "/" + folder.initrd;
    auto& manifest = options.manifest;
    manifest.description = manifest.description.empty() ? folder.description : manifest.description;
    manifest.command_line = manifest.command_line.empty() ? folder.command_line : manifest.command_line;
    manifest.vcpus = manifest.vcpus ? manifest.vcpus : folder.vcpus;
    manifest.memory_mib = manifest.memory_mib ? manifest.memory_mib : folder.memory_mib;
    return {};
}

Result<void> check_raw(const std::string& disk) {
    const Fd file{::open(disk.c_str(), O_RDONLY | O_CLOEXEC)};
    std::string start(8, '\0');
    if (!file || ::pread(file.get(), start.data(), start.size(), 0) < 0) {
        return fail(os_error("opening " + disk));
    }
    if (start.starts_with("QFI\xfb") || start.starts_with("KDMV") || start.starts_with("vhdxfile")) {
        return fail(Error{Code::invalid, disk + " is no raw disk"}.with_hint(
            "qemu-img convert -O raw " + disk + " disk.raw"
        ));
    }
    return {};
}

Result<void> pack(const Settings& settings, PackOptions options) {
    if (!options.folder.empty()) {
        CHECK(take_folder(options));
    }
    form::Packing packing;
    packing.manifest = options.manifest;
    packing.manifest.kind = options.disk.empty() ? "kernel" : "disk";
    const auto add = [&packing](const char* role, const std::string& file) {
        if (!file.empty()) {
            packing.inputs[role] = file;
        }
    };
    if (options.disk.empty() == options.kernel.empty()) {
        return fail(Error{Code::invalid, "either --disk, or --kernel, or --folder says what to pack"});
    }
    if (!options.disk.empty()) {
        CHECK(check_raw(options.disk));
    }
    add("disk", options.disk);
    add("kernel", options.kernel);
    add("initrd", options.initrd);
    packing.output = options.output;
    packing.threads = threads();
    if (options.sign) {
        Client client{settings};
        TRY(const auto signer, client.signer());
        packing.manifest.publisher = signer.address().text();
        packing.sign = [signer](std::string_view text) {
            const auto signature = signer.sign(text);
            std::array<std::uint8_t, 65> out{};
            std::ranges::copy(signature.rs, out.begin());
            out[64] = static_cast<std::uint8_t>(27 + signature.recovery_id);
            return out;
        };
    }
    std::string root;
    CHECK(with_bar("packing " + options.output, [&](const ProgressView& progress) -> Result<void> {
        TRY(const auto index, form::pack(packing, progress));
        root = to_hex(index.root());
        return {};
    }));
    std::printf(
        "%s root 0x%s%s\n",
        options.output.c_str(),
        root.c_str(),
        options.sign ? (" signed by " + packing.manifest.publisher).c_str() : ", unsigned"
    );
    return {};
}

struct Opened {
    Fd file;
    form::Index index;
};

Result<Opened> open_form(const std::string& path) {
    Opened out{Fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)}, {}};
    if (!out.file) {
        return fail(os_error("opening " + path));
    }
    TRY(out.index, form::read_index_of(out.file.get()));
    return out;
}

// "0x… (valid)", "unsigned", or what is wrong.
Result<std::string> signer_of(const form::Index& index) {
    if (!index.header.is_signed) {
        return std::string{"unsigned"};
    }
    TRY(const auto who, form::publisher(index, *crypto::create_signatures()));
    return std::string{who.text()};
}

Result<void> inspect(const Settings& settings, const std::string& path) {
    TRY(const auto opened, open_form(path));
    const auto& index = opened.index;
    const auto signer = signer_of(index);
    const auto holes = std::ranges::count(index.chunks, 0U, &form::Chunk::stored);
    TRY(auto value, json::parse(json::encode(index.manifest)));
    auto& object = *value.as<json::Object>();
    const auto add = [&object](const char* name, json::Value what) {
        object.emplace_back(name, std::move(what));
    };
    add("root", json::Value{"0x" + to_hex(index.root())});
    add("signature",
        json::Value{
            signer ? (index.header.is_signed ? "valid, of " + *signer : *signer) : signer.error().message()
        });
    add("content_bytes", json::Value::integer(static_cast<std::int64_t>(index.content_bytes())));
    add("file_bytes", json::Value::integer(static_cast<std::int64_t>(index.file_bytes())));
    add("chunks", json::Value::integer(static_cast<std::int64_t>(index.chunks.size())));
    add("empty_chunks", json::Value::integer(holes));
    print_object(settings, value);
    return {};
}

Result<void> verify(const std::string& path, const std::string& publisher) {
    TRY(const auto opened, open_form(path));
    TRY(const auto signer, signer_of(opened.index));
    if (!publisher.empty() && !equals_ignoring_case(publisher, signer)) {
        return fail(Error{
            Code::conflict,
            "the image is " + (opened.index.header.is_signed ? "signed by " + signer : signer) + ", not by " +
                publisher
        }
                        .with_slug("other-publisher"));
    }
    CHECK(with_bar("verifying " + path, [&](const ProgressView& progress) {
        return form::unpack(opened.file.get(), opened.index, threads(), nullptr, progress);
    }));
    std::printf(
        "%s is whole: %zu chunks, root 0x%s, %s\n",
        path.c_str(),
        opened.index.chunks.size(),
        to_hex(opened.index.root()).c_str(),
        opened.index.header.is_signed ? ("signed by " + signer).c_str() : "unsigned"
    );
    return {};
}

Result<void> unpack(const std::string& path, const std::string& folder) {
    TRY(const auto opened, open_form(path));
    const auto& index = opened.index;
    std::map<std::string, std::filesystem::path> outputs;
    for (const auto& file : index.manifest.files) {
        outputs[file.role] = std::filesystem::path{folder} / file.role;
    }
    TRY(const auto extraction, form::Extraction::begin(index, outputs));
    auto done = with_bar("unpacking " + path, [&](const ProgressView& progress) {
        const form::Take take = [&](std::uint64_t chunk, std::string_view content) {
            return extraction.write(index.place(chunk), content);
        };
        return form::unpack(opened.file.get(), index, threads(), take, progress);
    });
    if (!done) {
        for (const auto& [role, file] : outputs) {
            ::unlink(file.c_str());
        }
        return done;
    }
    for (const auto& [role, file] : outputs) {
        std::printf("%s\n", file.c_str());
    }
    return extraction.sync();
}

}  // namespace

void Vmctl::add_image_file_commands(CLI::App* image) {
    auto* packing = command(
        "pack", "Make a .form image of a raw disk, or of a kernel with its initial file system", image
    );
    auto options = std::make_shared<PackOptions>();
    auto& manifest = options->manifest;
    manifest.architecture = "x86_64";
    packing->add_option("output", options->output, "The .form file to make")->required();
    packing->add_option("--name", manifest.name, "The image's name")->required();
    packing->add_option("--image-version", manifest.version, "The image's version")->default_str("1");
    manifest.version = "1";
    packing->add_option("--disk", options->disk, "A raw disk");
    packing->add_option("--kernel", options->kernel, "A kernel");
    packing->add_option("--initrd", options->initrd, "Its initial file system");
    packing->add_option("--folder", options->folder, "A folder with an image.json, as docs/images.md says");
    packing->add_option("--description", manifest.description, "For people");
    packing->add_option("--vcpus", manifest.vcpus, "Processors of a machine that names none");
    packing->add_option("--memory", manifest.memory_mib, "MiB of a machine that names none");
    packing->add_option("--minimum-disk", manifest.minimum_disk_gib, "GiB that a root disk must have");
    packing->add_option("--command-line", manifest.command_line, "The kernel's");
    packing->add_option("--firmware", manifest.firmware, "bios or uefi")
        ->check(CLI::IsMember({"bios", "uefi"}));
    packing->add_option("--chunk-bytes", manifest.chunk_bytes, "A power of two")->capture_default_str();
    packing->add_flag("--sign", options->sign, "Sign it with --key, as its publisher");
    action(packing, [this, options] { return pack(settings_, *options); });

    auto file = std::make_shared<std::string>();
    auto* inspecting = command("inspect", "Show what a .form file says of itself", image);
    inspecting->add_option("file", *file, "The .form file")->required();
    action(inspecting, [this, file] { return inspect(settings_, *file); });

    auto* verifying = command("verify", "Check every chunk of a .form file, and its signature", image);
    auto publisher = std::make_shared<std::string>();
    verifying->add_option("file", *file, "The .form file")->required();
    verifying->add_option("--publisher", *publisher, "Address that must have signed it");
    action(verifying, [file, publisher] { return verify(*file, *publisher); });

    auto* unpacking = command("unpack", "Write what a .form file carries into a folder", image);
    auto folder = std::make_shared<std::string>(".");
    unpacking->add_option("file", *file, "The .form file")->required();
    unpacking->add_option("folder", *folder, "Where to")->capture_default_str();
    action(unpacking, [file, folder] { return unpack(*file, *folder); });
}

}  // namespace vmm::cli
