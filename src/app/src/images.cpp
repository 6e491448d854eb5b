#include "vmm/app/images.h"

#include "vmm/base/fault.h"
#include "vmm/base/ids.h"
#include "vmm/base/text.h"
#include "vmm/domain/admission.h"
#include "vmm/domain/names.h"
#include "vmm/records/records.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "keys.h"
#include "recall.h"

namespace vmm::app {
namespace {

using domain::ImageStatus;
using domain::Job;

std::unexpected<Error> taken(const std::string& name) {
    return fail(Error{Code::conflict, "there is an image named " + quote(name) + " already"}
                    .with_slug("image-exists")
                    .with_field("name"));
}

bool is_hash(std::string_view text) {
    return text.size() == 64 &&
           std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<void> check_hash(std::string_view field, const std::string& text) {
    return text.empty() || is_hash(text)
               ? Result<void>{}
               : invalid(field, "expected 64 lower-case hex digits, found " + quote(text));
}

domain::Image new_image(const domain::Caller& caller, const std::string& name, bool is_public) {
    domain::Image image;
    image.id = new_id("img");
    image.name = name;
    image.owner = caller.address;
    image.is_public = is_public;
    image.created_at = image.updated_at = now();
    return image;
}

domain::Operation operation_of(Job kind, const domain::Caller& caller, const std::string& name) {
    domain::Operation operation;
    operation.id = new_id("op");
    operation.kind = kind;
    operation.target = name;
    operation.status = domain::Progress::running;
    operation.requested_by = caller.address;
    operation.created_at = operation.updated_at = now();
    return operation;
}

}  // namespace

Images::Images(World& world) : world_{world} {
    world_.bootable = [this](const domain::Caller* caller, const std::string& name) {
        return bootable(caller, name);
    };
    world_.images_held = [this](const domain::Address& owner) { return held(owner); };
}

Result<void> Images::check_new(const domain::Caller& caller, const std::string& name, bool is_public) const {
    if (const auto sound = domain::check_image_name(name); !sound) {
        return invalid("name", sound.error().message());
    }
    if (is_public && !caller.administrator) {
        return fail(Error{Code::forbidden, "only administrators make images public"}.with_field("public"));
    }
    if (entries_.contains(name) || world_.images.find_dropped(name)) {
        return taken(name);
    }
    domain::Usage one;
    one.images = 1;
    return world_.check_quota(caller.address, one);
}

// Whether the caller could read this content by some image, so that having it need not be proved by sending
// it.
bool Images::sees_content(const domain::Caller& caller, const ports::Content& content) const {
    return std::ranges::any_of(entries_, [&](const auto& each) {
        return each.second->image.content == content.id && domain::may_see(caller, each.second->image);
    });
}

Task<void> Images::store(EntryPtr entry, ports::Transaction transaction) {
    auto next = entry->image;
    ++next.revision;
    next.updated_at = now();
    const auto key = keys::image(next.name);
    transaction.expect.push_back({key, entry->stored_at});
    transaction.puts.push_back({key, records::write(next), {}});
    auto stored = co_await world_.store.commit(std::move(transaction));
    if (!stored) {
        co_return std::unexpected{std::move(stored).error()};
    }
    entry->stored_at = *stored;
    entry->image.revision = next.revision;
    entry->image.updated_at = next.updated_at;
    co_return Result<void>{};
}

Task<Upload>
Images::take_known(domain::Caller caller, UploadOrder order, ports::Content content, Ticket ticket) {
    CO_CHECK(check_new(caller, order.name, order.is_public));
    domain::Usage more;
    more.disk_bytes = content.facts.stored_bytes;
    CO_CHECK(world_.check_quota(caller.address, more));
    auto entry = std::make_shared<Entry>();
    entry->image = new_image(caller, order.name, order.is_public);
    entry->image.status = ImageStatus::ready;
    entry->image.source = "upload";
    entry->image.sha256 = order.sha256;
    entry->image.content = content.id;
    entries_.emplace(order.name, entry);
    ports::Transaction transaction;
    ticket.add_to(transaction, "", order.name);
    auto stored = co_await store(entry, std::move(transaction));
    if (!stored) {
        entries_.erase(order.name);
        co_return fail(explained(std::move(stored).error(), ticket));
    }
    Upload out;
    out.image = view(caller, entry->image);
    co_return out;
}

// Opens the place where an upload's bytes go, at the offset from which they come.
Task<void> Images::open_incoming(EntryPtr entry, UploadOrder order) {
    if (!entry->incoming) {
        CO_TRY(entry->incoming, co_await world_.images.receive(entry->image.id));
    }
    auto have = entry->incoming->bytes();
    if (have == order.total) {
        co_return Result<void>{};
    }
    if (!order.goes_on && have > 0) {
        entry->incoming.reset();
        CO_CHECK(co_await world_.images.discard(entry->image.id));
        CO_TRY(entry->incoming, co_await world_.images.receive(entry->image.id));
        have = 0;
    }
    if (have != order.offset) {
        const auto last = std::to_string(order.total - 1) + "/" + std::to_string(order.total);
        co_return fail(Error{
            Code::conflict,
            std::to_string(have) + " bytes of this image are here; go on from there, not from " +
                std::to_string(order.offset)
        }
                           .with_slug("upload-offset")
                           .with_field("Content-Range")
                           .with_hint("Content-Range: bytes " + std::to_string(have) + "-" + last));
    }
    co_return Result<void>{};
}

Task<Upload> Images::begin_upload(domain::Caller caller, UploadOrder order, Ticket ticket) {
    CO_CHECK(check_hash("sha256", order.sha256));
    Upload out;
    CO_TRY(out.before, co_await recall(world_, ticket));
    if (out.before) {
        co_return out;
    }
    ticket.idempotency_key.clear();  // bound when the import begins
    const auto known = entries_.find(order.name);
    const bool mine = known != entries_.end() && known->second->image.owner == caller.address &&
                      known->second->image.sha256 == order.sha256;
    if (mine && known->second->image.status == ImageStatus::ready) {
        out.image = view(caller, known->second->image);
        co_return out;
    }
    EntryPtr entry;
    if (mine && known->second->image.status == ImageStatus::uploading) {
        entry = known->second;
        if (entry->receiving || entry->image.total_bytes != order.total) {
            co_return fail(Error{
                Code::conflict,
                entry->receiving ? "this upload is going on" : "this upload was begun with another size"
            }
                               .with_slug("upload-busy"));
        }
    } else {
        if (const auto content = world_.images.content_by_sha256(order.sha256);
            content && sees_content(caller, *content)) {
            co_return co_await take_known(caller, std::move(order), *content, ticket);
        }
        CO_CHECK(check_new(caller, order.name, order.is_public));
        CO_CHECK(room_for(caller.address, order.total));
        entry = std::make_shared<Entry>();
        entry->image = new_image(caller, order.name, order.is_public);
        entry->image.status = ImageStatus::uploading;
        entry->image.source = "upload";
        entry->image.sha256 = order.sha256;
        entry->image.total_bytes = order.total;
        entries_.emplace(order.name, entry);
    }
    // From here on nobody else sends for this name.
    entry->receiving = true;
    fault_point("upload.before-intent");
    ports::Transaction transaction;
    ticket.add_to(transaction, "", order.name);
    auto stored = co_await store(entry, std::move(transaction));
    if (!stored) {
        entry->receiving = false;
        if (entry->stored_at == 0) {
            entries_.erase(order.name);
        }
        co_return fail(explained(std::move(stored).error(), ticket));
    }
    fault_point("upload.after-intent");
    auto ready = co_await open_incoming(entry, order);
    if (!ready) {
        entry->receiving = false;
        co_return std::unexpected{std::move(ready).error()};
    }
    out.incoming = entry->incoming;
    out.image = view(caller, entry->image);
    co_return out;
}

Task<void> Images::pause_upload(std::string name) {
    if (const auto entry = entries_.find(name); entry != entries_.end()) {
        entry->second->receiving = false;
    }
    co_return Result<void>{};
}

Task<void> Images::abandon_upload(std::string name) {
    if (const auto entry = entries_.find(name); entry != entries_.end()) {
        ports::Transaction nothing_else;
        co_await drop(entry->second, std::move(nothing_else));
    }
    co_return Result<void>{};
}

Task<Begun>
Images::finish_upload(domain::Caller caller, std::string name, std::string sha256, Ticket ticket) {
    CO_TRY(const auto entry, find(caller, name));
    entry->receiving = false;
    entry->incoming.reset();
    if (sha256 != entry->image.sha256) {
        const auto wanted = entry->image.sha256;
        ports::Transaction nothing_else;
        co_await drop(entry, std::move(nothing_else));
        co_return fail(Error{
            Code::malformed,
            "what came has the SHA-256 " + sha256 + ", and " + wanted +
                " was announced; nothing of it was kept"
        }
                           .with_slug("content-hash-mismatch")
                           .with_field("X-Content-SHA256"));
    }
    entry->image.status = ImageStatus::importing;
    co_return co_await begin(entry, operation_of(Job::import, caller, name), ticket);
}

// Stores the intent and begins the job.
Task<Begun> Images::begin(EntryPtr entry, domain::Operation operation, Ticket ticket) {
    operation.idempotency_key = ticket.idempotency_key;
    const auto kind = std::string{name(operation.kind)};
    entry->image.operation = operation.id;
    Begun begun{operation.id, entry->image.name, {}, false};
    ports::Transaction transaction;
    ticket.add_to(transaction, operation.id, entry->image.name);
    transaction.puts.push_back(Operations::record(operation));
    fault_point(kind + ".before-intent");
    auto stored = co_await store(entry, std::move(transaction));
    if (!stored) {
        if (entry->stored_at == 0) {
            entries_.erase(entry->image.name);
        } else {
            entry->image.status = ImageStatus::uploading;
            entry->image.operation.clear();
        }
        auto error = std::move(stored).error();
        if (key_was_taken(error, ticket)) {
            CO_TRY(auto first, co_await recall(world_, ticket));
            if (first) {
                co_return *std::move(first);
            }
        }
        co_return fail(explained(std::move(error), ticket));
    }
    fault_point(kind + ".after-intent");
    world_.operations.put(operation);
    spawn(entry, std::move(operation));
    co_return begun;
}

Task<Begun> Images::import(domain::Caller caller, ImportOrder order, Ticket ticket) {
    CO_TRY(auto recalled, co_await recall(world_, ticket));
    if (recalled) {
        co_return *std::move(recalled);
    }
    if (order.url.empty() == order.path.empty()) {
        co_return invalid("url", "either a url or a path says where the image comes from");
    }
    CO_CHECK(check_hash("sha256", order.sha256));
    CO_CHECK(check_hash("root", order.root));
    if (!order.path.empty() && !caller.administrator) {
        co_return fail(
            Error{Code::forbidden, "only administrators import files of the host"}.with_field("path")
        );
    }
    if (!order.path.empty() && !std::filesystem::path{order.path}.is_absolute()) {
        co_return invalid("path", "expected an absolute path, found " + quote(order.path));
    }
    CO_CHECK(check_new(caller, order.name, order.is_public));
    CO_CHECK(room_for(caller.address, 0));
    auto entry = std::make_shared<Entry>();
    entry->image = new_image(caller, order.name, order.is_public);
    entry->image.source = order.url.empty() ? "path" : "url";
    entry->image.source_place = order.url.empty() ? order.path : order.url;
    entry->image.sha256 = order.sha256;
    entry->image.wanted_root = order.root;
    if (const auto content = world_.images.content_by_sha256(order.sha256);
        content && sees_content(caller, *content)) {
        entry->image.content = content->id;
    }
    entries_.emplace(order.name, entry);
    co_return co_await begin(entry, operation_of(Job::import, caller, order.name), ticket);
}

Task<Begun> Images::publish(domain::Caller caller, std::string vm, PublishOrder order, Ticket ticket) {
    const bool printable = std::ranges::all_of(order.version, [](char c) { return c > 0x20 && c < 0x7f; });
    if (order.version.size() > 64 || !printable) {
        co_return invalid("version", "expected at most 64 printable characters without spaces");
    }
    CO_TRY(auto recalled, co_await recall(world_, ticket));
    if (recalled) {
        co_return *std::move(recalled);
    }
    CO_CHECK(check_new(caller, order.name, order.is_public));
    const auto source = world_.registry.find(vm);
    if (!source) {
        co_return fail(Code::not_found, "there is no machine " + quote(vm) + ", or it is not visible to you");
    }
    CO_CHECK(world_.permissions.check(caller, domain::Action::configure, *source));
    if (domain::busy(source->status)) {
        co_return fail(Error{
            Code::conflict, "the machine is " + std::string{domain::name(source->status)}
        }.with_slug("machine-busy"));
    }
    CO_CHECK(room_for(caller.address, world_.disks.real_bytes(vm)));
    auto entry = std::make_shared<Entry>();
    entry->image = new_image(caller, order.name, order.is_public);
    entry->image.source = "machine";
    entry->image.source_place = vm;
    entry->image.as_form = order.as_form;
    entry->image.wanted_version = order.version.empty() ? "1" : order.version;
    entries_.emplace(order.name, entry);
    auto operation = operation_of(Job::publish, caller, order.name);
    operation.source = vm;
    co_return co_await begin(entry, std::move(operation), ticket);
}

Task<void> Images::remove(domain::Caller caller, std::string name, Ticket ticket) {
    CO_TRY(const auto shown, co_await show(caller, name));
    if (shown.dropped ? !caller.administrator : !domain::may_remove(caller, shown.image)) {
        co_return fail(
            Code::forbidden,
            shown.dropped ? "only administrators remove what lies in the image folder"
                          : "only its owner and administrators remove an image"
        );
    }
    if (shown.users > 0) {
        std::string who;
        for (const auto& vm : shown.used_by) {
            who.append(who.empty() ? "" : ", ").append(vm);
        }
        const auto unseen = shown.users - shown.used_by.size();
        who.append(
            unseen == 0 ? "" : (who.empty() ? "" : " and ") + std::to_string(unseen) + " that you may not see"
        );
        co_return fail(Error{
            Code::conflict,
            "the image is used by " + std::string{shown.users == 1 ? "the machine " : "machines: "} + who
        }
                           .with_slug("image-in-use")
                           .with_hint("delete the machines first"));
    }
    ports::Transaction transaction;
    ticket.add_to(transaction, "", name);
    if (shown.dropped) {
        CO_CHECK(co_await world_.store.commit(std::move(transaction)));
        const auto dropped = world_.images.find_dropped(name);
        const auto content = dropped ? dropped->content.id : std::string{};
        CO_CHECK(world_.images.remove_dropped(name));
        co_return co_await remove_unused(content);
    }
    const auto entry = entries_.at(name);
    if (entry->receiving) {
        co_return fail(Error{Code::conflict, "the image is being uploaded"}.with_slug("upload-busy"));
    }
    if (entry->image.status == ImageStatus::importing) {
        // Its job ends, and takes the image with it.
        if (entry->progress) {
            entry->progress->unwanted = true;
        }
        CO_CHECK(co_await world_.store.commit(std::move(transaction)));
        CO_CHECK(co_await world_.operations.wait(entry->image.operation, std::chrono::seconds{30}));
        co_return Result<void>{};
    }
    fault_point("remove-image.before-fact");
    co_await drop(entry, std::move(transaction));
    fault_point("remove-image.after-fact");
    co_return Result<void>{};
}

}  // namespace vmm::app
