#include "vmm/app/images.h"
#include "vmm/base/fault.h"
#include "vmm/base/text.h"
#include "vmm/records/records.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>

#include "keys.h"

// The jobs that make images, what becomes of them when the service comes back, and what is left over.
namespace vmm::app {
namespace {

using domain::ImageStatus;
using domain::Progress;
using namespace std::chrono_literals;

constexpr int most_attempts = 3;
constexpr std::size_t page = 500;
constexpr auto upload_lifetime = std::chrono::hours{24};
constexpr auto answer_lifetime = std::chrono::hours{24};

}  // namespace

void Images::spawn(EntryPtr entry, domain::Operation operation) {
    entry->progress = std::make_shared<vmm::Progress>();
    auto title = entry->image.name + " " + std::string{name(operation.kind)};
    world_.jobs.spawn(title, run(entry, operation));
    world_.jobs.spawn(title + " progress", tell_progress(entry, operation));
}

// Shown, not stored.
asio::awaitable<void> Images::tell_progress(EntryPtr entry, domain::Operation operation) {
    while (true) {
        co_await pause_for(200ms);
        const auto now_is = world_.operations.find(operation.id);
        if (!now_is || domain::ended(now_is->status)) {
            co_return;
        }
        operation.progress = entry->progress->percent();
        world_.operations.put(operation);
    }
}

asio::awaitable<void> Images::run(EntryPtr entry, domain::Operation operation) {
    auto content = co_await bring(entry, operation);
    co_await finish(std::move(entry), std::move(operation), std::move(content));
}

Task<ports::Content> Images::bring(EntryPtr entry, domain::Operation operation) {
    auto& image = entry->image;
    if (!image.content.empty()) {
        // Its content was here when it was asked for.
        if (const auto known = world_.images.content(image.content)) {
            co_return *known;
        }
    }
    CO_TRY(const auto most, room_for(image.owner, 0));
    std::string sha256;
    if (image.source == "upload") {
        sha256 = image.sha256;
    } else if (image.source == "url") {
        ports::Remote remote;
        remote.url = image.source_place;
        remote.sha256 = image.sha256;
        remote.root = image.wanted_root;
        CO_TRY(sha256, co_await world_.images.download(image.id, std::move(remote), most, entry->progress));
    } else if (image.source == "path") {
        CO_TRY(sha256, co_await world_.images.copy_in(image.id, image.source_place, most, entry->progress));
    } else {
        CO_TRY(auto place, world_.images.place_for_disk(image.id));
        CO_CHECK(co_await world_.copy_root(operation.source, std::move(place)));
        fault_point("publish.copied");
        const auto vm = world_.registry.find(operation.source);
        if (!vm) {
            co_return fail(Error{Code::conflict, "the machine was deleted meanwhile"}.with_slug("source-gone")
            );
        }
        CO_TRY(auto base, world_.bootable(nullptr, vm->image));
        CO_CHECK(co_await world_.images.flatten(image.id, std::move(base), image, most, entry->progress));
    }
    if (!image.sha256.empty() && !sha256.empty() && sha256 != image.sha256) {
        co_return fail(
            Error{Code::invalid, "its SHA-256 is " + sha256 + ", and " + image.sha256 + " was asked for"}
                .with_slug("content-hash-mismatch")
                .with_field("sha256")
        );
    }
    CO_TRY(auto content, co_await world_.images.admit(image.id, sha256, most, entry->progress));
    fault_point("import.admitted");
    co_return content;
}

asio::awaitable<void>
Images::finish(EntryPtr entry, domain::Operation operation, Result<ports::Content> content) {
    const auto kind = std::string{name(operation.kind)};
    fault_point(kind + ".before-fact");
    operation.progress = 100;
    operation.updated_at = now();
    operation.status = content                                     ? Progress::succeeded
                       : content.error().code() == Code::cancelled ? Progress::cancelled
                                                                   : Progress::failed;
    if (!content) {
        operation.error = content.error();
    }
    ports::Transaction transaction;
    transaction.outlives = ports::Outlives::process;
    transaction.puts.push_back(Operations::record(operation));
    if (content) {
        auto& image = entry->image;
        image.status = ImageStatus::ready;
        image.content = content->id;
        image.sha256 = content->sha256.empty() ? image.sha256 : content->sha256;
        image.operation.clear();
        const auto shown = view({image.owner, true}, image);
        add_answer(transaction, operation, &shown);
        co_await store_fact(entry, std::move(transaction));
        (void)co_await world_.images.discard(image.id);
    } else {
        add_answer(transaction, operation, nullptr);
        co_await drop(entry, std::move(transaction));
    }
    fault_point(kind + ".after-fact");
    spdlog::info(
        "{} {} image={} op={}{}",
        kind,
        name(operation.status),
        entry->image.name,
        operation.id,
        operation.error ? " error=\"" + operation.error->message() + "\"" : ""
    );
    world_.operations.put(std::move(operation));
}

// Tried until it is stored.
asio::awaitable<void> Images::store_fact(EntryPtr entry, ports::Transaction transaction) {
    for (auto pause = 50ms;; pause = std::min(pause * 2, 2000ms)) {
        const auto stored = co_await store(entry, transaction);
        if (stored) {
            co_return;
        }
        spdlog::error(
            "an image cannot be stored, trying again image={} error=\"{}\"",
            entry->image.name,
            stored.error().message()
        );
        co_await pause_for(pause);
    }
}

// Ends the image's existence: its record, then its bytes.
asio::awaitable<void> Images::drop(EntryPtr entry, ports::Transaction transaction) {
    const auto key = keys::image(entry->image.name);
    // Nobody makes a machine of it from here on.
    entry->image.status = ImageStatus::importing;
    transaction.removes.push_back(key);
    for (auto pause = 50ms;; pause = std::min(pause * 2, 2000ms)) {
        const auto stored = co_await world_.store.commit(transaction);
        if (stored) {
            break;
        }
        spdlog::error(
            "an image cannot be forgotten, trying again image={} error=\"{}\"",
            entry->image.name,
            stored.error().message()
        );
        co_await pause_for(pause);
    }
    entry->incoming.reset();
    if (const auto place = entries_.find(entry->image.name);
        place != entries_.end() && place->second == entry) {
        entries_.erase(place);
    }
    (void)co_await world_.images.discard(entry->image.id);
    (void)co_await remove_unused(entry->image.content);
}

// Stored content on which no machine's disk stands. A machine's image may have been replaced in the folder
// since the machine was made; its disk still stands on what it was made on.
std::vector<std::string> Images::unclaimed() const {
    auto contents = world_.images.contents();
    if (contents.empty()) {
        return contents;
    }
    world_.each_machine([&](const domain::Vm& vm) {
        const auto below = world_.disks.backing(vm.id);
        std::erase(contents, below.parent_path().filename().string());
    });
    return contents;
}

Task<void> Images::remove_unused(std::string content) {
    const bool used = content.empty() || std::ranges::any_of(entries_, [&content](const auto& each) {
                          return each.second->image.content == content;
                      });
    const auto free = used ? std::vector<std::string>{} : unclaimed();
    if (std::ranges::find(free, content) == free.end()) {
        co_return Result<void>{};
    }
    co_return co_await world_.images.remove_content(content);
}

void Images::add_answer(
    ports::Transaction& transaction,
    const domain::Operation& operation,
    const ImageView* view
) const {
    if (operation.idempotency_key.empty() || !render) {
        return;
    }
    const auto answer = render(operation, view);
    records::Remembered remembered;
    remembered.operation = operation.id;
    remembered.target = operation.target;
    remembered.status = answer.status;
    remembered.body = answer.body;
    remembered.etag = answer.etag;
    transaction.puts.push_back(
        {operation.idempotency_key + "/answer",
         records::write(remembered),
         operation.created_at.plus(answer_lifetime)}
    );
}

Task<Answer> Images::answer(domain::Operation operation) {
    if (!operation.idempotency_key.empty()) {
        const auto stored = co_await world_.store.get(operation.idempotency_key + "/answer");
        if (stored) {
            CO_TRY(auto given, records::read_remembered(stored->value));
            co_return Answer{given.status, std::move(given.body), std::move(given.etag)};
        }
    }
    const auto entry = entries_.find(operation.target);
    if (entry == entries_.end()) {
        co_return render(operation, nullptr);
    }
    const auto shown = view({operation.requested_by, false}, entry->second->image);
    co_return render(operation, &shown);
}

Task<void> Images::load() {
    std::string after;
    while (true) {
        CO_TRY(const auto records, co_await world_.store.list(std::string{keys::images}, after, page));
        for (const auto& record : records) {
            auto entry = std::make_shared<Entry>();
            CO_TRY(entry->image, records::read_image(record.value));
            entry->stored_at = record.revision;
            entries_.emplace(entry->image.name, entry);
        }
        if (records.size() < page) {
            co_return Result<void>{};
        }
        after = records.back().key;
    }
}

asio::awaitable<void> Images::recover() {
    co_await sweep();
    std::set<std::string> taken_up;
    for (auto& operation : world_.operations.open()) {
        if (!domain::makes_image(operation.kind)) {
            continue;
        }
        const auto entry = entries_.find(operation.target);
        const bool wanted = entry != entries_.end() && entry->second->image.operation == operation.id;
        ++operation.attempts;
        if (wanted && operation.attempts <= most_attempts) {
            ports::Transaction transaction;
            transaction.puts.push_back(Operations::record(operation));
            (void)co_await world_.store.commit(std::move(transaction));
            fault_point("recover.counted");
            spdlog::info(
                "taking up again op={} kind={} image={} attempt={}",
                operation.id,
                name(operation.kind),
                operation.target,
                operation.attempts
            );
            taken_up.insert(operation.target);
            spawn(entry->second, std::move(operation));
            continue;
        }
        auto error =
            Error{
                Code::internal,
                "given up: the service ended " + std::to_string(most_attempts) + " times during this job"
            }
                .with_slug("interrupted");
        if (wanted) {
            co_await finish(entry->second, std::move(operation), std::unexpected{std::move(error)});
            continue;
        }
        operation.status = Progress::failed;
        operation.error = std::move(error);
        operation.updated_at = now();
        ports::Transaction transaction;
        transaction.puts.push_back(Operations::record(operation));
        (void)co_await world_.store.commit(std::move(transaction));
        world_.operations.put(std::move(operation));
    }
}

// Removes what came in for no image, and content that is no image's.
asio::awaitable<void> Images::sweep() {
    std::set<std::string> ids;
    std::set<std::string> contents;
    for (const auto& [name, entry] : entries_) {
        ids.insert(entry->image.id);
        contents.insert(entry->image.content);
        if (entry->image.status == ImageStatus::importing) {
            // Stored, perhaps, but not yet on the record.
            if (const auto known = world_.images.content_by_sha256(entry->image.sha256)) {
                contents.insert(known->id);
            }
        }
    }
    for (const auto& id : world_.images.incoming()) {
        const auto entry =
            std::ranges::find_if(entries_, [&id](const auto& each) { return each.second->image.id == id; });
        const bool ready = entry != entries_.end() && entry->second->image.status == ImageStatus::ready;
        if (!ids.contains(id) || ready) {
            (void)co_await world_.images.discard(id);
        }
    }
    for (const auto& id : unclaimed()) {
        if (!contents.contains(id)) {
            spdlog::warn("removing stored content that is no image's content={}", id);
            (void)co_await world_.images.remove_content(id);
        }
    }
}

asio::awaitable<void> Images::forget_old_uploads(Timestamp at) {
    std::vector<EntryPtr> old;
    for (const auto& [name, entry] : entries_) {
        const auto& image = entry->image;
        if (image.status == ImageStatus::uploading && !entry->receiving &&
            image.updated_at.plus(upload_lifetime) <= at) {
            old.push_back(entry);
        }
    }
    for (const auto& entry : old) {
        spdlog::info("an upload that nobody went on with is forgotten image={}", entry->image.name);
        ports::Transaction nothing_else;
        co_await drop(entry, std::move(nothing_else));
    }
}

}  // namespace vmm::app
