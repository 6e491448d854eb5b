#include "vmm/seed/seeds.h"

#include "vmm/base/text.h"
#include "vmm/json/value.h"
#include "vmm/json/write.h"

#include <algorithm>

#include "parts.h"

namespace vmm::seed {
namespace {

constexpr std::size_t most_formfile = 256 << 10;

Result<void> hash_in_user(json::Value& user) {
    auto* members = user.as<json::Object>();
    for (auto& [key, value] : *members) {
        if (auto* password = value.as<std::string>(); key == "passwd" && password != nullptr) {
            TRY(*password, hash_password(*password));
        }
    }
    return {};
}

Result<std::string> json_without_passwords(std::string_view text) {
    TRY(auto whole, json::parse(text));
    for (auto& [name, value] : *whole.as<json::Object>()) {
        auto* users = value.as<json::List>();
        for (std::size_t i = 0; name == "users" && users != nullptr && i < users->size(); ++i) {
            CHECK(hash_in_user((*users)[i]));
        }
    }
    return json::compact(whole);
}

// A USER line with the value of its passwd replaced; it may stand in quotes.
Result<std::string> line_without_password(std::string_view line) {
    std::string out{line};
    for (const std::string_view key : {" passwd:", "\tpasswd:", " passwd=", "\tpasswd="}) {
        const auto at = out.find(key);
        if (at == std::string::npos) {
            continue;
        }
        const auto begin = at + key.size();
        const char quote = begin < out.size() && (out[begin] == '"' || out[begin] == '\'') ? out[begin] : 0;
        const auto end = quote != 0 ? out.find(quote, begin + 1) : out.find_first_of(" \t\r", begin);
        const auto from = begin + (quote != 0 ? 1 : 0);
        const auto count = (end == std::string::npos ? out.size() : end) - from;
        TRY(const auto hash, hash_password(out.substr(from, count)));
        out.replace(from, count, hash);
    }
    return out;
}

Result<std::string> text_without_passwords(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        const auto line = text.substr(0, end);
        if (trim(line).starts_with("USER")) {
            TRY(const auto changed, line_without_password(line));
            out.append(changed);
        } else {
            out.append(line);
        }
        out.append(end < text.size() ? "\n" : "");
        text.remove_prefix(std::min(text.size(), end + 1));
    }
    return out;
}

class CloudSeeds final : public ports::Seeds {
public:
    Result<domain::Formfile> read_formfile(std::string_view text) const override {
        if (text.size() > most_formfile) {
            return invalid("formfile", "a Formfile has at most " + std::to_string(most_formfile) + " bytes");
        }
        const bool is_json = trim(text).starts_with('{');
        TRY(auto out, is_json ? read_json_formfile(text) : domain::parse_formfile(text));
        for (auto& user : out.users) {
            TRY(user.passwd, hash_password(user.passwd));
        }
        return out;
    }

    Result<std::string> without_passwords(std::string_view text) const override {
        return trim(text).starts_with('{') ? json_without_passwords(text) : text_without_passwords(text);
    }

    Result<void> check_user_data(std::string_view text) const override { return seed::check_user_data(text); }

    Result<void> check_context(std::string_view archive) const override {
        return seed::check_context(archive);
    }

    std::string meta_data(const ports::Seed& seed) const override { return seed::meta_data(seed); }

    std::string user_data(const ports::Seed& seed) const override { return seed::user_data(seed); }

    std::string network_config(const ports::Seed& seed) const override { return seed::network_config(seed); }

    Result<void> write(const ports::Seed& seed, const std::filesystem::path& file) const override {
        std::vector<MediumFile> files{
            {"meta-data", meta_data(seed), {}},
            {"user-data", user_data(seed), {}},
            {"network-config", network_config(seed), {}},
            {"vmm/report", report_file(seed), {}},
            {"vmm/ready.sh", std::string{report_script()}, {}},
        };
        if (auto mesh = mesh_config(seed.invitation); !mesh.empty()) {
            files.push_back({"vmm/formnet.conf", std::move(mesh), {}});
        }
        if (seed.formfile.builds()) {
            files.push_back({"vmm/build.sh", build_script(seed.formfile, !seed.context.empty()), {}});
        }
        if (!seed.context.empty()) {
            files.push_back({"vmm/context.tar", "", seed.context});
        }
        return write_medium(files, file);
    }
};

}  // namespace

std::unique_ptr<ports::Seeds> create_seeds() {
    return std::make_unique<CloudSeeds>();
}

}  // namespace vmm::seed
