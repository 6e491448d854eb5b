#include "identity.h"

#include "vmm/base/files.h"
#include "vmm/base/ids.h"
#include "vmm/base/text.h"

#include <algorithm>
#include <vector>

namespace vmm::daemon {
namespace {

constexpr std::string_view key = "/meta/identity";
constexpr std::string_view secrets_key = "/meta/secrets";

// Random bytes that are made once and stay, in hex.
Task<std::string> lasting(ports::StateStore& store, std::string where, std::size_t count) {
    auto record = co_await store.get(where);
    if (record) {
        co_return record->value;
    }
    if (record.error().code() != Code::not_found) {
        co_return std::unexpected{record.error()};
    }
    std::vector<std::uint8_t> fresh(count);
    fill_random(fresh);
    auto text = to_hex(fresh);
    ports::Transaction transaction;
    transaction.expect.push_back({where, 0});
    transaction.puts.push_back({where, text, {}});
    CO_CHECK(co_await store.commit(std::move(transaction)));
    co_return text;
}

}  // namespace

Task<Identity> load_identity(ports::StateStore& store) {
    CO_TRY(const auto text, co_await lasting(store, std::string{key}, 36));
    CO_TRY(const auto secrets, co_await lasting(store, std::string{secrets_key}, 64));
    const auto bytes = from_hex(text);
    const auto hidden = from_hex(secrets);
    if (!bytes || bytes->size() != 36 || !hidden || hidden->size() != 64) {
        co_return fail(
            Error{Code::unavailable, "the state store's identity cannot be read"}.with_slug("record-corrupt")
        );
    }
    Identity identity;
    identity.store = text.substr(0, 32);
    std::copy_n(bytes->begin() + 16, 20, identity.node.begin());
    identity.secret.assign(hidden->begin(), hidden->begin() + 32);
    std::copy_n(hidden->begin() + 32, 32, identity.key.begin());
    co_return identity;
}

Result<void> claim_folder(const std::filesystem::path& folder, const std::string& store) {
    const auto mark = folder / ".vmm-store";
    const auto owner = read_file(mark);
    if (!owner && owner.error().code() == Code::not_found) {
        return write_file(mark, store + "\n", 0600);
    }
    if (!owner) {
        return std::unexpected{owner.error()};
    }
    if (trim(*owner) == store) {
        return {};
    }
    return fail(Error{
        Code::conflict,
        "vm_dir " + folder.string() +
            " belongs to another state store; its machines would be taken for leftovers and ended"
    }
                    .with_slug("vm-dir-foreign")
                    .with_hint(
                        "give each service a vm_dir of its own; if that store is lost for good, stop its "
                        "machines and remove " +
                        mark.string()
                    ));
}

}  // namespace vmm::daemon
