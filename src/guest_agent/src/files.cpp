#include "vmm/base/text.h"
#include "vmm/json/write.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "agent.h"

namespace vmm::guest_agent {
namespace {

constexpr std::size_t most_bytes = 1 << 20;

std::map<std::int64_t, std::FILE*>& files() {
    static std::map<std::int64_t, std::FILE*> open;
    return open;
}

Result<std::FILE*> file_in(const json::Value& arguments) {
    TRY(const auto handle, number_in(arguments, "handle"));
    const auto found = files().find(handle);
    return found == files().end()
               ? fail(Code::not_found, "handle '" + std::to_string(handle) + "' has not been found")
               : Result<std::FILE*>{found->second};
}

std::unexpected<Error> failed(const std::string& what) {
    return fail(Code::unavailable, "failed to " + what + ": " + std::strerror(errno));
}

// Home and numbers of a user in /etc/passwd.
struct User {
    std::string home;
    uid_t uid = 0;
    gid_t gid = 0;
};

Result<User> find_user(const std::string& name) {
    std::ifstream lines{"/etc/passwd"};
    for (std::string line; std::getline(lines, line);) {
        std::vector<std::string> parts;
        std::istringstream fields{line};
        for (std::string field; std::getline(fields, field, ':');) {
            parts.push_back(field);
        }
        if (parts.size() >= 6 && parts[0] == name) {
            return User{
                parts[5], parse_number<uid_t>(parts[2]).value_or(0), parse_number<gid_t>(parts[3]).value_or(0)
            };
        }
    }
    return fail(Code::not_found, "the user '" + name + "' has not been found");
}

}  // namespace

Outcome open_file(const json::Value& arguments) {
    static std::int64_t last = 1000;
    TRY(const auto path, text_in(arguments, "path"));
    const auto mode = text_in(arguments, "mode").value_or("r");
    auto* file = std::fopen(path.c_str(), (mode + "e").c_str());
    if (file == nullptr) {
        return failed("open file '" + path + "' (mode: '" + mode + "')");
    }
    files()[++last] = file;
    return std::to_string(last);
}

Outcome read_file(const json::Value& arguments) {
    TRY(auto* file, file_in(arguments));
    const auto count = number_in(arguments, "count").value_or(4096);
    std::string block(
        std::min<std::size_t>(static_cast<std::size_t>(std::max<std::int64_t>(count, 0)), most_bytes), '\0'
    );
    const auto got = std::fread(block.data(), 1, block.size(), file);
    if (got == 0 && std::ferror(file) != 0) {
        return failed("read the file");
    }
    const bool end = std::feof(file) != 0;
    // What is written to it later can be read later.
    std::clearerr(file);
    block.resize(got);
    return R"({"count":)" + std::to_string(got) + R"(,"eof":)" + (end ? "true" : "false") + R"(,"buf-b64":)" +
           json::text(to_base64(block)) + "}";
}

Outcome write_file(const json::Value& arguments) {
    TRY(auto* file, file_in(arguments));
    TRY(const auto text, text_in(arguments, "buf-b64"));
    const auto bytes = from_base64(text);
    if (!bytes) {
        return fail(Code::invalid, "buf-b64 is no base 64");
    }
    const auto count = std::fwrite(bytes->data(), 1, bytes->size(), file);
    if (std::fflush(file) != 0 || (count == 0 && !bytes->empty())) {
        return failed("write the file");
    }
    return R"({"count":)" + std::to_string(count) + R"(,"eof":false})";
}

Outcome close_file(const json::Value& arguments) {
    TRY(const auto handle, number_in(arguments, "handle"));
    TRY(auto* file, file_in(arguments));
    files().erase(handle);
    return std::fclose(file) == 0 ? Outcome{"{}"} : Outcome{failed("close the file")};
}

Outcome add_ssh_keys(const json::Value& arguments) {
    TRY(const auto name, text_in(arguments, "username"));
    TRY(const auto user, find_user(name));
    const auto* keys = arguments.find("keys");
    const auto* list = keys == nullptr ? nullptr : keys->as<json::List>();
    if (list == nullptr) {
        return fail(Code::invalid, "Parameter 'keys' is missing");
    }
    const auto folder = user.home + "/.ssh";
    const auto file = folder + "/authorized_keys";
    ::mkdir(user.home.c_str(), 0755);
    ::mkdir(folder.c_str(), 0700);
    std::vector<std::string> lines;
    {
        std::ifstream in{file};
        for (std::string line; std::getline(in, line);) {
            lines.push_back(line);
        }
    }
    for (const auto& each : *list) {
        const auto* key = each.as<std::string>();
        if (key != nullptr && std::ranges::find(lines, *key) == lines.end()) {
            lines.push_back(*key);
        }
    }
    std::ofstream out{file, std::ios::trunc};
    for (const auto& line : lines) {
        out << line << '\n';
    }
    out.close();
    ::chmod(file.c_str(), 0600);
    const bool owned =
        ::chown(folder.c_str(), user.uid, user.gid) == 0 && ::chown(file.c_str(), user.uid, user.gid) == 0;
    return out && owned ? Outcome{"{}"} : Outcome{failed("write '" + file + "'")};
}

}  // namespace vmm::guest_agent
