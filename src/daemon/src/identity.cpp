#include "identity.h"

#include "vmm/base/files.h"
#include "vmm/base/ids.h"
#include "vmm/base/text.h"

#include <algorithm>

namespace vmm::daemon {
namespace {

constexpr std::string_view key = "/meta/identity";

}  // namespace

Task<Identity> load_identity(ports::StateStore& store) {
    auto record = co_await store.get(std::string{key});
    std::string text;
    if (record) {
        text = record->value;
    } else if (record.error().code() == Code::not_found) {
        std::array<std::uint8_t, 36> fresh{};
        fill_random(fresh);
        text = to_hex(fresh);
        ports::Transaction transaction;
        transaction.expect.push_back({std::string{key}, 0});
        transaction.puts.push_back({std::string{key}, text, {}});
        CO_CHECK(co_await store.commit(std::move(transaction)));
    } else {
        co_return std::unexpected{record.error()};
    }
    const auto bytes = from_hex(text);
    if (!bytes || bytes->size() != 36) {
        co_return fail(
            Error{Code::unavailable, "the state store's identity cannot be read"}.with_slug("record-corrupt")
        );
    }
    Identity identity;
    identity.store = text.substr(0, 32);
    std::copy_n(bytes->begin() + 16, 20, identity.node.begin());
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
