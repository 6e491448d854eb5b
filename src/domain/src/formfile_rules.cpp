#include "vmm/base/text.h"
#include "vmm/domain/formfile.h"

#include <algorithm>
#include <array>

#include "formfile_ranges.h"

// What holds for every Formfile, whether it was written as text or as JSON.
namespace vmm::domain {
namespace {

Result<bool> boolean(std::string_view key, std::string_view value) {
    const auto word = lower(value);
    for (const auto* yes : {"true", "yes", "1", "on"}) {
        if (word == yes) {
            return true;
        }
    }
    for (const auto* no : {"false", "no", "0", "off"}) {
        if (word == no) {
            return false;
        }
    }
    return invalid("formfile", std::string{key} + " is true or false, found " + quote(value));
}

bool is_user_name(std::string_view name) {
    constexpr std::string_view first = "abcdefghijklmnopqrstuvwxyz_";
    constexpr std::string_view rest = "abcdefghijklmnopqrstuvwxyz_0123456789-";
    return !name.empty() && name.size() <= 32 && first.contains(name.front()) &&
           name.find_first_not_of(rest) == std::string_view::npos;
}

bool printable(std::string_view text) {
    return std::ranges::none_of(text, [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    });
}

}  // namespace

bool Formfile::copies() const {
    return std::ranges::any_of(steps, [](const BuildStep& step) {
        return step.kind == BuildStep::Kind::copy;
    });
}

bool is_variable(std::string_view name) {
    constexpr std::string_view first = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    return !name.empty() && first.contains(name.front()) &&
           std::ranges::all_of(name, [first](char c) { return first.contains(c) || (c >= '0' && c <= '9'); });
}

Result<void> set_user_member(FormfileUser& user, std::string_view key, std::string_view value) {
    const auto refuse = [](std::string message) { return invalid("formfile", std::move(message)); };
    if (!printable(value)) {
        return refuse(std::string{key} + " has a control character");
    }
    const auto list = [value] {
        auto out = split(value, ',');
        std::erase(out, "");
        return out;
    };
    if (key == "username") {
        user.username = value;
        return is_user_name(value) ? Result<void>{} : refuse(quote(value) + " is no name of a user");
    }
    if (key == "passwd") {
        user.passwd = value;
        return value.empty() ? Result<void>{refuse("passwd is empty")} : Result<void>{};
    }
    if (key == "shell") {
        user.shell = value;
        return value.starts_with('/') ? Result<void>{}
                                      : refuse("shell is an absolute path, found " + quote(value));
    }
    if (key == "ssh_authorized_keys") {
        user.ssh_authorized_keys = list();
        return {};
    }
    if (key == "groups") {
        user.groups = list();
        return std::ranges::all_of(user.groups, is_user_name)
                   ? Result<void>{}
                   : refuse(quote(value) + " has a name of no group");
    }
    const std::array<std::pair<std::string_view, bool*>, 5> flags{{
        {"lock_passwd", &user.lock_passwd},
        {"sudo", &user.sudo},
        {"ssh_pwauth", &user.ssh_pwauth},
        {"disable_root", &user.disable_root},
        {"chpasswd_expire", &user.chpasswd_expire},
    }};
    std::vector<std::string> known{"username", "passwd", "shell", "ssh_authorized_keys", "groups"};
    for (const auto& [name, flag] : flags) {
        if (key == name) {
            TRY(*flag, boolean(key, value));
            return {};
        }
        known.emplace_back(name);
    }
    const auto meant = nearest(key, known);
    return refuse("a user has no " + quote(key) + (meant ? "; did you mean " + *meant + "?" : ""));
}

Result<void> check_formfile(const Formfile& formfile) {
    const auto refuse = [](std::string message) { return invalid("formfile", std::move(message)); };
    const auto within = [&](const std::optional<std::uint32_t>& value, const Range& range) -> Result<void> {
        if (value && (*value < range.least || *value > range.most)) {
            return refuse(
                "expected " + std::string{range.what} + " from " + std::to_string(range.least) + " to " +
                std::to_string(range.most) + ", found " + std::to_string(*value)
            );
        }
        return {};
    };
    CHECK(within(formfile.vcpus, vcpu_range));
    CHECK(within(formfile.memory_mib, memory_range));
    CHECK(within(formfile.disk_gib, disk_range));
    for (const auto& step : formfile.steps) {
        const std::string where = step.line == 0 ? "" : "line " + std::to_string(step.line) + ": ";
        if (std::ranges::any_of(step.words, [](const std::string& word) {
                return word.contains('\0') || word.contains('\n');
            })) {
            return refuse(where + "a word has a control character");
        }
        if (step.kind == BuildStep::Kind::env && !is_variable(step.words.front())) {
            return refuse(where + quote(step.words.front()) + " is no name of a variable");
        }
        if (step.kind == BuildStep::Kind::env && !step.who.empty() && !is_user_name(lower(step.who))) {
            return refuse(where + quote(step.who) + " is no name of a user or service");
        }
        if (step.kind == BuildStep::Kind::copy) {
            const auto parts = split(step.words.front(), '/');
            if (std::ranges::find(parts, "..") != parts.end()) {
                return refuse(
                    where + "COPY takes what is in the build context, found " + quote(step.words.front())
                );
            }
        }
        if (step.kind == BuildStep::Kind::install) {
            for (const auto& package : step.words) {
                if (package.starts_with('-')) {
                    return refuse(where + quote(package) + " is no name of a package");
                }
            }
        }
    }
    return {};
}

}  // namespace vmm::domain
