#include "vmm/app/images.h"
#include "vmm/base/text.h"
#include "vmm/domain/admission.h"
#include "vmm/domain/names.h"

#include <algorithm>

// What there is of images, and what callers see of them.
namespace vmm::app {
namespace {

using domain::ImageStatus;

std::unexpected<Error> unknown(const std::string& name) {
    return fail(Code::not_found, "there is no image " + quote(name) + ", or it is not visible to you");
}

}  // namespace

Result<ports::Image> Images::bootable(const domain::Caller* caller, const std::string& name) {
    CHECK(domain::check_image_name(name));
    const auto unusable = [&name](const std::string& why) {
        return fail(Error{Code::invalid, "the image " + quote(name) + " cannot be used: " + why}
                        .with_slug("bad-image")
                        .with_field("image"));
    };
    const auto entry = entries_.find(name);
    if (entry != entries_.end() && (caller == nullptr || domain::may_see(*caller, entry->second->image))) {
        const auto& image = entry->second->image;
        const auto content = world_.images.content(image.content);
        if (image.status != ImageStatus::ready) {
            return unusable("it is " + std::string{domain::name(image.status)});
        }
        if (!content) {
            return unusable("its content is missing on this host");
        }
        const auto trust = content->facts.trust;
        const bool untrusted =
            trust == domain::Trust::not_signed || trust == domain::Trust::unknown_publisher;
        if (untrusted && caller != nullptr && world_.settings.refuse_untrusted_images) {
            return unusable("it was brought before this host took images of trusted publishers alone");
        }
        auto boots = content->boots;
        boots.name = name;
        return boots;
    }
    const auto dropped = world_.images.find_dropped(name);
    if (!dropped) {
        std::string known;
        for (const auto& each : world_.images.dropped()) {
            known.append(" ").append(each.name);
        }
        for (const auto& [each, there] : entries_) {
            known.append(caller == nullptr || domain::may_see(*caller, there->image) ? " " + each : "");
        }
        return fail(Error{Code::invalid, "there is no image " + quote(name)}
                        .with_slug("unknown-image")
                        .with_field("image")
                        .with_hint(
                            known.empty() ? "there are no images yet; `make guest` builds the image tiny"
                                          : "images here:" + known.substr(0, 500)
                        ));
    }
    if (dropped->status == ImageStatus::refused) {
        return unusable(dropped->reason);
    }
    if (dropped->status != ImageStatus::ready) {
        return fail(Error{Code::unavailable, "the image " + quote(name) + " is being converted"}
                        .with_slug("image-not-ready")
                        .with_field("image")
                        .with_retry_after(1));
    }
    return dropped->content.boots;
}

domain::Usage Images::held(const domain::Address& owner) const {
    domain::Usage used;
    for (const auto& [name, entry] : entries_) {
        if (entry->image.owner == owner) {
            const auto content = world_.images.content(entry->image.content);
            // An upload takes what it has announced, wherever it is.
            used.disk_bytes += content ? content->facts.stored_bytes : entry->image.total_bytes;
            ++used.images;
        }
    }
    return used;
}

// How many bytes an image of this owner may take; fails when `wanted` is more.
Result<std::uint64_t> Images::room_for(const domain::Address& owner, std::uint64_t wanted) const {
    const auto& settings = world_.settings;
    domain::Usage more;
    more.disk_bytes = wanted;
    CHECK(world_.check_quota(owner, more));
    const auto free_mib = world_.images.available_mib();
    const auto free = (free_mib - std::min(free_mib, domain::disk_reserve_mib)) << 20;
    if (wanted > free || free == 0) {
        return fail(Error{
            Code::unavailable,
            std::to_string(wanted >> 20) + " MiB are needed where images go, " + std::to_string(free >> 20) +
                " MiB are free"
        }
                        .with_slug("no-space")
                        .with_retry_after(30));
    }
    if (wanted > settings.most_image_bytes) {
        return fail(Error{
            Code::too_large,
            "the image has " + std::to_string(wanted >> 20) + " MiB, and max_image_size_gb is " +
                std::to_string(settings.most_image_bytes >> 30)
        }
                        .with_slug("image-too-large"));
    }
    return std::min({free, world_.disk_left(owner).value_or(free), settings.most_image_bytes});
}

ImageView Images::view(const domain::Caller& caller, const domain::Image& image) const {
    ImageView out;
    out.image = image;
    if (const auto content = world_.images.content(image.content)) {
        out.image.facts = content->facts;
        out.image.sha256 = content->sha256.empty() ? image.sha256 : content->sha256;
    }
    world_.each_machine([&](const domain::Vm& vm) {
        if (vm.image == image.name) {
            ++out.users;
            if (world_.permissions.may(caller, domain::Action::view, vm)) {
                out.used_by.push_back(vm.name);
            }
        }
    });
    if (const auto entry = entries_.find(image.name); entry != entries_.end() && entry->second->incoming) {
        out.received_bytes = entry->second->incoming->bytes();
    }
    return out;
}

ImageView Images::view(const domain::Caller& caller, const ports::Dropped& dropped) const {
    domain::Image image;
    image.name = dropped.name;
    image.is_public = true;
    image.status = dropped.status;
    image.reason = dropped.reason;
    image.sha256 = dropped.sha256;
    image.source = "folder";
    image.created_at = image.updated_at = dropped.changed_at;
    auto out = view(caller, image);
    out.dropped = true;
    out.image.facts = dropped.content.facts;
    return out;
}

Task<std::vector<ImageView>> Images::list(domain::Caller caller) {
    std::map<std::string, ImageView> found;
    for (const auto& each : world_.images.dropped()) {
        // What is wrong with a file in the folder is the operator's to know.
        if (each.status != ImageStatus::refused || caller.administrator) {
            found.emplace(each.name, view(caller, each));
        }
    }
    for (const auto& [name, entry] : entries_) {
        if (domain::may_see(caller, entry->image)) {
            found.insert_or_assign(name, view(caller, entry->image));
        }
    }
    std::vector<ImageView> out;
    out.reserve(found.size());
    for (auto& [name, each] : found) {
        out.push_back(std::move(each));
    }
    co_return out;
}

Task<ImageView> Images::show(domain::Caller caller, std::string name) {
    const auto entry = entries_.find(name);
    if (entry != entries_.end() && domain::may_see(caller, entry->second->image)) {
        co_return view(caller, entry->second->image);
    }
    const auto dropped = domain::check_image_name(name) ? world_.images.find_dropped(name) : std::nullopt;
    if (!dropped || (dropped->status == ImageStatus::refused && !caller.administrator)) {
        co_return unknown(name);
    }
    co_return view(caller, *dropped);
}

Result<Images::EntryPtr> Images::find(const domain::Caller& caller, const std::string& name) const {
    const auto entry = entries_.find(name);
    if (entry == entries_.end() || !domain::may_see(caller, entry->second->image)) {
        return unknown(name);
    }
    return entry->second;
}

Task<Images::File> Images::file(domain::Caller caller, std::string name) {
    CO_TRY(const auto shown, co_await show(caller, name));
    if (shown.image.status != ImageStatus::ready) {
        co_return fail(Code::conflict, "the image is " + std::string{domain::name(shown.image.status)});
    }
    std::optional<ports::Content> content;
    if (shown.dropped) {
        const auto dropped = world_.images.find_dropped(name);
        content = dropped ? std::optional{dropped->content} : std::nullopt;
    } else {
        content = world_.images.content(shown.image.content);
    }
    File out;
    out.path = content ? world_.images.file_of(*content) : std::filesystem::path{};
    if (out.path.empty()) {
        co_return fail(
            Error{Code::conflict, "an unpacked kernel image has no single file to send; pack it as a .form"}
                .with_slug("no-file")
        );
    }
    const bool as_brought =
        content->facts.format == "raw" || content->facts.format == "qcow2" || content->facts.format == "form";
    out.format = as_brought ? content->facts.format : "qcow2";
    out.sha256 = as_brought ? shown.image.sha256 : "";
    co_return out;
}

}  // namespace vmm::app
