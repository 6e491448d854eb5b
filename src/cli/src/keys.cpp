#include "keys.h"

#include "vmm/base/files.h"
#include "vmm/base/text.h"
#include "vmm/domain/names.h"

#include <algorithm>

#include "keystore.h"
#include "terminal.h"

namespace vmm::cli {
namespace {

namespace fs = std::filesystem;

fs::path folder() {
    return config_folder() / "keys";
}

std::optional<crypto::Signer> plain_key(std::string_view text) {
    const auto bytes = from_hex(trim(text));
    return bytes ? crypto::Signer::from_bytes(*bytes) : std::nullopt;
}

std::string shown_address(const std::string& hex) {
    const auto address = crypto::create_signatures()->parse_address(hex);
    return address ? std::string{address->text()} : "unknown";
}

}  // namespace

std::vector<StoredKey> stored_keys() {
    std::vector<StoredKey> keys;
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator{folder(), failed}) {
        const auto& path = entry.path();
        const auto content = read_file(path);
        if (!content || (path.extension() != ".json" && path.extension() != ".key")) {
            continue;
        }
        StoredKey key{path.stem().string(), "", path.extension() == ".key", path};
        if (key.plain) {
            const auto signer = plain_key(*content);
            key.address = signer ? std::string{signer->address().text()} : "unreadable";
        } else {
            key.address = shown_address(address_in(*content));
        }
        keys.push_back(std::move(key));
    }
    std::ranges::sort(keys, {}, &StoredKey::name);
    return keys;
}

Result<StoredKey>
store_key(const std::string& name, const crypto::Signer& signer, bool plain, const std::string& password) {
    if (!domain::check_vm_name(name)) {
        return invalid(
            "name", "a key's name is made of letters, digits, '-', '_' and '.', found " + quote(name)
        );
    }
    for (const auto& key : stored_keys()) {
        if (key.name == name) {
            return fail(Error{Code::conflict, "there is a key named " + quote(name) + " already"}.with_hint(
                key.file.string()
            ));
        }
    }
    std::error_code failed;
    fs::create_directories(folder(), failed);
    fs::permissions(folder(), fs::perms::owner_all, failed);
    const auto file = folder() / (name + (plain ? ".key" : ".json"));
    const auto content = plain ? "0x" + to_hex(signer.bytes()) + "\n" : encrypt_key(signer, password) + "\n";
    CHECK(write_file(file, content, 0600));
    return StoredKey{name, std::string{signer.address().text()}, plain, file};
}

Result<crypto::Signer> read_key(std::string_view content, const Settings& settings) {
    if (const auto plain = plain_key(content)) {
        return *plain;
    }
    if (!trim(content).starts_with('{')) {
        return fail(Code::malformed, "expected a key file (Web3 Secret Storage version 3) or 64 hex digits");
    }
    TRY(const auto secret, password(settings, Purpose::existing));
    return decrypt_key(content, secret);
}

Result<crypto::Signer> load_key(const Settings& settings) {
    if (settings.key == environment("VMM_KEY")) {
        if (const auto plain = plain_key(settings.key)) {
            return *plain;
        }
    }
    for (const auto& key : stored_keys()) {
        if (key.name == settings.key) {
            TRY(const auto content, read_file(key.file));
            return read_key(content, settings);
        }
    }
    const auto content = read_file(settings.key);
    if (!content) {
        return fail(
            Error{Code::not_found, "there is no key " + quote(settings.key)}.with_slug("no-key").with_hint(
                "make one with `vmctl keys new`, or name one with --key or VMM_KEY; `vmctl keys list` shows "
                "yours"
            )
        );
    }
    return read_key(*content, settings);
}

Result<std::string> password(const Settings& settings, Purpose purpose) {
    if (!settings.password_file.empty()) {
        TRY(const auto content, read_file(settings.password_file));
        return std::string{content.substr(0, content.find_first_of("\r\n"))};
    }
    if (auto given = environment("VMM_KEY_PASSWORD"); !given.empty()) {
        return given;
    }
    if (!on_terminal(0)) {
        return fail(Error{Code::invalid, "a password is needed"}.with_hint(
            "use --password-file or VMM_KEY_PASSWORD, or run on a terminal"
        ));
    }
    auto first = ask_secretly("Password: ");
    if (purpose == Purpose::fresh && first != ask_secretly("Again: ")) {
        return fail(Code::invalid, "the passwords differ");
    }
    return first;
}

}  // namespace vmm::cli
