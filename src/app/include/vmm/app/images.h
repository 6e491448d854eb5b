#pragma once

#include "vmm/app/begun.h"
#include "vmm/app/ticket.h"
#include "vmm/app/world.h"
#include "vmm/domain/access.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vmm::app {

// An image as a caller sees it.
struct ImageView {
    domain::Image image;
    bool dropped = false;              // lies in the image folder; belongs to the host
    std::vector<std::string> used_by;  // names of the machines that the caller may see
    std::uint64_t users = 0;           // all machines
    std::uint64_t received_bytes = 0;  // of an upload
};

struct UploadOrder {
    std::string name;
    std::string sha256;  // of the whole
    std::uint64_t offset = 0;
    std::uint64_t total = 0;
    bool goes_on = false;  // from the offset; otherwise what an earlier attempt has sent is forgotten
    bool is_public = false;
};

// An upload that may send its bytes, or one that need not because its image is here. All bytes may have come
// before.
struct Upload {
    std::shared_ptr<ports::Incoming> incoming;  // null: nothing is to be sent
    std::optional<Begun> before;                // by an earlier request with this Idempotency-Key
    ImageView image;
};

struct ImportOrder {
    std::string name;
    std::string url;     // or
    std::string path;    // of this host
    std::string sha256;  // that it must have, or empty
    std::string root;    // of a .form from a url, or empty
    bool is_public = false;
};

struct PublishOrder {
    std::string name;
    std::string version;
    bool as_form = false;
    bool is_public = false;
};

// The images of this host: those that were brought, and those that lie in its folder. Used on the
// application's executor. An image that the caller may not see does not exist for them: not_found.
class Images {
public:
    explicit Images(World& world);

    // Reads the records. To be called before the machines are loaded.
    Task<void> load();

    // Takes up imports that were interrupted, and forgets what belongs to no image. After the machines are
    // loaded.
    asio::awaitable<void> recover();

    // Uploads that nobody went on with for a day are gone.
    asio::awaitable<void> forget_old_uploads(Timestamp at);

    Task<std::vector<ImageView>> list(domain::Caller caller);
    Task<ImageView> show(domain::Caller caller, std::string name);

    // Stores that these bytes are to come, or goes on with an upload that broke off at this offset. conflict
    // "image-exists", "upload-offset"; exhausted room as in check_storage and check_room.
    Task<Upload> begin_upload(domain::Caller caller, UploadOrder order, Ticket ticket);
    // What was received stays for a later attempt, or is forgotten.
    Task<void> pause_upload(std::string name);
    Task<void> abandon_upload(std::string name);
    // All bytes are here; begins the import.
    Task<Begun> finish_upload(domain::Caller caller, std::string name, std::string sha256, Ticket ticket);

    Task<Begun> import(domain::Caller caller, ImportOrder order, Ticket ticket);
    Task<Begun> publish(domain::Caller caller, std::string vm, PublishOrder order, Ticket ticket);

    // conflict "image-in-use" with the machines' names. An import that goes on is cancelled.
    Task<void> remove(domain::Caller caller, std::string name, Ticket ticket);

    // The file that a download sends, and the SHA-256 of what it holds where that is known.
    struct File {
        File() = default;
        std::filesystem::path path;
        std::string format;
        std::string sha256;
    };

    Task<File> file(domain::Caller caller, std::string name);

    // The answer of an operation that has ended.
    Task<Answer> answer(domain::Operation operation);

    // Renders an image operation's answer; the view is null when the image is gone. Set by whoever speaks to
    // clients.
    std::function<Answer(const domain::Operation&, const ImageView*)> render;

private:
    struct Entry {
        domain::Image image;
        std::int64_t stored_at = 0;
        bool receiving = false;
        std::shared_ptr<ports::Incoming> incoming;
        ProgressView progress;
    };

    using EntryPtr = std::shared_ptr<Entry>;

    Result<ports::Image> bootable(const domain::Caller* caller, const std::string& name);
    [[nodiscard]] domain::Usage held(const domain::Address& owner) const;
    [[nodiscard]] Result<std::uint64_t> room_for(const domain::Address& owner, std::uint64_t wanted) const;
    [[nodiscard]] ImageView view(const domain::Caller& caller, const domain::Image& image) const;
    [[nodiscard]] ImageView view(const domain::Caller& caller, const ports::Dropped& dropped) const;
    [[nodiscard]] bool sees_content(const domain::Caller& caller, const ports::Content& content) const;
    Result<EntryPtr> find(const domain::Caller& caller, const std::string& name) const;
    Result<void> check_new(const domain::Caller& caller, const std::string& name, bool is_public) const;

    Task<void> store(EntryPtr entry, ports::Transaction transaction);
    asio::awaitable<void> store_fact(EntryPtr entry, ports::Transaction transaction);
    asio::awaitable<void> drop(EntryPtr entry, ports::Transaction transaction);
    Task<void> open_incoming(EntryPtr entry, UploadOrder order);
    Task<Begun> begin(EntryPtr entry, domain::Operation operation, Ticket ticket);
    Task<Upload> take_known(domain::Caller caller, UploadOrder order, ports::Content content, Ticket ticket);

    void spawn(EntryPtr entry, domain::Operation operation);
    asio::awaitable<void> run(EntryPtr entry, domain::Operation operation);
    Task<ports::Content> bring(EntryPtr entry, domain::Operation operation);
    asio::awaitable<void> tell_progress(EntryPtr entry, domain::Operation operation);
    asio::awaitable<void> finish(EntryPtr entry, domain::Operation operation, Result<ports::Content> content);
    asio::awaitable<void> sweep();
    Task<void> remove_unused(std::string content);
    [[nodiscard]] std::vector<std::string> unclaimed() const;
    void add_answer(
        ports::Transaction& transaction,
        const domain::Operation& operation,
        const ImageView* view
    ) const;

    World& world_;
    std::map<std::string, EntryPtr> entries_;
};

}  // namespace vmm::app
