#include "vmm/base/files.h"
#include "vmm/base/text.h"
#include "vmm/json/write.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "app.h"
#include "client.h"
#include "output.h"
#include "terminal.h"

namespace vmm::cli {
namespace {

constexpr std::size_t most_bytes = 1ULL << 30;

std::string all_of_stdin() {
    std::string out;
    std::array<char, 65536> block{};
    for (auto count = ::read(0, block.data(), block.size()); count > 0;
         count = ::read(0, block.data(), block.size())) {
        out.append(block.data(), static_cast<std::size_t>(count));
    }
    return out;
}

struct ExecOptions {
    std::string vm;
    std::vector<std::string> argv;
    std::optional<std::int64_t> limit_s;
    bool with_input = false;
};

// How the program has ended; empty while it has not been told.
struct Ending {
    std::optional<int> status;
    std::string problem;
};

void take_line(std::string_view line, Ending& ending) {
    const auto value = json::parse(line);
    if (!value) {
        return;
    }
    if (const auto data = from_base64(value->text_or("data_base64", "")); data && !data->empty()) {
        std::fwrite(
            data->data(), 1, data->size(), value->text_or("stream", "") == "stderr" ? stderr : stdout
        );
        std::fflush(nullptr);
    }
    const auto number = [&](const char* name) {
        const auto* found = value->find(name);
        const auto* digits = found == nullptr ? nullptr : found->as<json::Number>();
        return digits == nullptr ? std::nullopt : parse_number<int>(digits->text);
    };
    if (const auto status = number("exit_status")) {
        ending.status = status;
    } else if (const auto signal = number("signal")) {
        ending.status = 128 + *signal;
    }
    const auto* late = value->find("timed_out");
    const auto* flag = late == nullptr ? nullptr : late->as<bool>();
    if (flag != nullptr && *flag) {
        ending.problem = "the program was ended: its time was over";
    }
    if (const auto why = value->text_or("error", ""); !why.empty()) {
        ending.problem = why;
    }
}

Result<void> exec(const Settings& settings, const ExecOptions& options) {
    Client client{settings};
    TRY(const auto id, client.resolve(options.vm));
    json::Object body;
    json::List words;
    for (const auto& word : options.argv) {
        words.emplace_back(word);
    }
    body.emplace_back("argv", json::Value{std::move(words)});
    if (options.with_input) {
        body.emplace_back("stdin_base64", json::Value{to_base64(all_of_stdin())});
    }
    if (options.limit_s) {
        body.emplace_back("timeout_s", json::Value::integer(*options.limit_s));
    }
    Ending ending;
    std::string lines;
    CHECK(client.stream(
        "POST",
        "/vms/" + id + "/exec",
        json::compact(json::Value{std::move(body)}),
        [&lines, &ending](std::string_view piece) {
            lines.append(piece);
            for (auto end = lines.find('\n'); end != std::string::npos; end = lines.find('\n')) {
                take_line(std::string_view{lines}.substr(0, end), ending);
                lines.erase(0, end + 1);
            }
        }
    ));
    if (!ending.problem.empty()) {
        return fail(Code::timed_out, ending.problem);
    }
    if (!ending.status) {
        return fail(Code::unavailable, "the answer broke off before the program had ended");
    }
    if (*ending.status != 0) {
        std::exit(*ending.status);  // NOLINT(concurrency-mt-unsafe): nothing else runs
    }
    return {};
}

// NAME:PATH, or a path of this host.
struct Place {
    std::string vm;
    std::string path;
};

Place place_of(const std::string& said) {
    const auto colon = said.find(':');
    const bool remote = colon != std::string::npos && !said.substr(0, colon).contains('/');
    return remote ? Place{said.substr(0, colon), said.substr(colon + 1)} : Place{"", said};
}

Result<void> copy(const Settings& settings, const std::string& from_text, const std::string& to_text) {
    const auto from = place_of(from_text);
    auto to = place_of(to_text);
    if (from.vm.empty() == to.vm.empty()) {
        return fail(Error{Code::invalid, "expected one of both to be in a machine, as web:/etc/motd"});
    }
    Client client{settings};
    client.set_doing("copying");
    TRY(const auto id, client.resolve(from.vm.empty() ? to.vm : from.vm));
    const auto name = from.path.substr(from.path.rfind('/') + 1);
    to.path += to.path.empty() || to.path.ends_with('/') ? name : "";
    if (from.vm.empty()) {
        TRY(auto content, read_file(from.path, most_bytes));
        CHECK(client.call_with(
            "PUT",
            "/vms/" + id + "/files?path=" + query_escaped(to.path),
            "application/octet-stream",
            std::move(content)
        ));
        return {};
    }
    std::FILE* file = to.path == "-" ? stdout : std::fopen(to.path.c_str(), "wb");
    if (file == nullptr) {
        return fail(os_error("writing " + to.path));
    }
    bool written = true;
    auto done = client.stream(
        "GET",
        "/vms/" + id + "/files?path=" + query_escaped(from.path),
        "",
        [&](std::string_view piece) {
            written &= std::fwrite(piece.data(), 1, piece.size(), file) == piece.size();
        }
    );
    written &= (file == stdout ? std::fflush(file) : std::fclose(file)) == 0;
    if (done && !written) {
        return fail(os_error("writing " + to.path));
    }
    return done;
}

// Where ssh reaches a machine: a published port 22, or its address on this host.
Result<std::pair<std::string, std::string>> ssh_place(const Settings& settings, const json::Value& vm) {
    for (const auto& port : *vm.find("ports")->as<json::List>()) {
        if (shown(port, "guest_port") == "22" && shown(port, "protocol") == "tcp") {
            const auto url = settings.url.substr(settings.url.find("://") + 3);
            const auto bound = shown(port, "host_address");
            const auto host = bound == "0.0.0.0" ? url.substr(0, url.find_first_of(":/")) : bound;
            return std::pair{host, shown(port, "host_port")};
        }
    }
    for (const auto& address : *vm.find("addresses")->as<json::List>()) {
        const auto* text = address.as<std::string>();
        if (text != nullptr && !text->starts_with("10.0.2.")) {
            return std::pair{*text, std::string{"22"}};
        }
    }
    return fail(Error{Code::conflict, "the machine has no address that can be reached from here"}.with_hint(
        "vmctl ports add " + shown(vm, "name") + " 2222:22 publishes its ssh"
    ));
}

Result<void>
ssh(const Settings& settings, const std::string& name, std::string user, const std::vector<std::string>& words
) {
    Client client{settings};
    TRY(const auto id, client.resolve(name));
    TRY(const auto vm, client.call("GET", "/vms/" + id));
    TRY(const auto place, ssh_place(settings, vm));
    user = user.empty() ? "root" : user;
    std::vector<std::string> argv{
        "ssh",
        "-p",
        place.second,
        "-o",
        "HostKeyAlias=" + id,
        "-o",
        "StrictHostKeyChecking=accept-new",
        user + "@" + place.first
    };
    argv.insert(argv.end(), words.begin(), words.end());
    std::vector<char*> raw;
    for (auto& word : argv) {
        raw.push_back(word.data());
    }
    raw.push_back(nullptr);
    ::execvp("ssh", raw.data());
    return fail(os_error("running ssh; is openssh-client installed?"));
}

Result<void> show_below(const Settings& settings, const std::string& name, const std::string& what) {
    Client client{settings};
    client.set_doing("asking the guest of " + name);
    TRY(const auto id, client.resolve(name));
    TRY(const auto answer, client.call("GET", "/vms/" + id + "/" + what));
    print_object(settings, answer);
    return {};
}

Result<void> add_keys(
    const Settings& settings,
    const std::string& name,
    const std::string& user,
    const std::vector<std::string>& files
) {
    Client client{settings};
    TRY(const auto id, client.resolve(name));
    json::List keys;
    for (const auto& file : files) {
        TRY(const auto content, read_file(file));
        for (const auto& line : split(content, '\n')) {
            if (!trim(line).empty() && !line.starts_with('#')) {
                keys.emplace_back(std::string{trim(line)});
            }
        }
    }
    json::Object body;
    body.emplace_back("user", json::Value{user});
    body.emplace_back("keys", json::Value{std::move(keys)});
    CHECK(client.call("POST", "/vms/" + id + "/ssh-keys", json::compact(json::Value{std::move(body)})));
    std::printf("the keys may log in to %s of %s\n", user.c_str(), name.c_str());
    return {};
}

}  // namespace

void Vmctl::add_guest_commands() {
    auto* running = command("exec", "Run a program in a machine's guest; vmctl exec web -- uname -a");
    auto options = std::make_shared<ExecOptions>();
    running->add_option("vm", options->vm, "Name or id")->required();
    running->add_option("argv", options->argv, "The program and its words, after --")->required();
    running->add_option("--limit", options->limit_s, "Seconds until it is ended");
    running->add_flag("-i,--stdin", options->with_input, "Give it this command's standard input");
    action(running, [this, options] { return exec(settings_, *options); });

    auto* shell = command("ssh", "Log in to a machine by ssh");
    auto vm = std::make_shared<std::string>();
    auto user = std::make_shared<std::string>();
    auto words = std::make_shared<std::vector<std::string>>();
    shell->add_option("vm", *vm, "Name or id")->required();
    shell->add_option("words", *words, "More for ssh, after --");
    shell->add_option("--user", *user, "Login; root otherwise");
    action(shell, [this, vm, user, words] { return ssh(settings_, *vm, *user, *words); });

    auto* explaining = command("explain", "What a machine waits for, and what to do");
    explaining->add_option("vm", *vm, "Name or id")->required();
    action(explaining, [this, vm] { return show_below(settings_, *vm, "explain"); });
    auto* guest = command("guest", "What the agent in a machine's guest says of it");
    guest->add_option("vm", *vm, "Name or id")->required();
    action(guest, [this, vm] { return show_below(settings_, *vm, "guest"); });
}

void Vmctl::add_file_commands() {
    auto* copying = command("cp", "Copy a file into or out of a guest: vmctl cp web:/etc/motd .");
    auto from = std::make_shared<std::string>();
    auto to = std::make_shared<std::string>();
    copying->add_option("from", *from, "A file, or VM:PATH")->required();
    copying->add_option("to", *to, "A file, or VM:PATH; - is the standard output")->required();
    action(copying, [this, from, to] { return copy(settings_, *from, *to); });

    auto* keys = command("ssh-keys", "Let public keys log in to a running guest");
    auto vm = std::make_shared<std::string>();
    auto user = std::make_shared<std::string>("root");
    auto files = std::make_shared<std::vector<std::string>>();
    keys->add_option("vm", *vm, "Name or id")->required();
    keys->add_option("file", *files, "Files with public keys")->required();
    keys->add_option("--user", *user, "Login in the guest")->capture_default_str();
    action(keys, [this, vm, user, files] { return add_keys(settings_, *vm, *user, *files); });
}

}  // namespace vmm::cli
