#include "vmm/base/files.h"
#include "vmm/base/text.h"
#include "vmm/proofs/ledger.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iostream>

#include "app.h"
#include "client.h"
#include "output.h"
#include "receive.h"

// The ledger: who has asked for what, and whether anybody has touched the record of it.
namespace vmm::cli {
namespace {

struct AuditOptions {
    std::string address;
    std::string about;
    std::string outcome;
    int limit = 50;
    std::string file;
    std::string signer;
    std::string head;
    bool own = false;
};

Result<void> list(const Settings& settings, const AuditOptions& options) {
    Client client{settings};
    std::string target = "/audit?limit=" + std::to_string(options.limit);
    const auto add = [&target](const char* name, const std::string& value) {
        target.append(value.empty() ? "" : std::string{"&"} + name + "=" + query_escaped(value));
    };
    add("address", options.address);
    add("outcome", options.outcome);
    if (!options.about.empty()) {
        const auto id = client.resolve(options.about);
        add("about", id ? *id : options.about);
    }
    TRY(const auto answer, client.call("GET", target));
    print_list(
        settings, answer, "records", {"seq", "at", "address", "action", "about", "outcome", "status", "code"}
    );
    return {};
}

Result<void> download(const Settings& settings, int file) {
    Client client{settings};
    TRY(auto headers, client.signature("GET", "/audit/export", ""));
    TRY(auto url, fetch::parse_url(settings.url));
    url.target = "/audit/export";
    auto progress = std::make_shared<Progress>();
    CHECK(complete(
        receive_into(file, 0, std::move(url), std::move(headers), settings.ca_file, std::move(progress))
    ));
    return {};
}

Result<void> export_to(const Settings& settings, const std::string& name) {
    const Fd file{::open(name.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
    if (!file) {
        return fail(os_error("making " + name));
    }
    CHECK(download(settings, file.get()));
    std::printf("the ledger is in %s\n", name.c_str());
    return {};
}

Result<proofs::LedgerMark> mark_of(const std::string& text) {
    const auto colon = text.find(':');
    const auto seq = parse_number<std::int64_t>(std::string_view{text}.substr(0, colon));
    if (!seq || colon == std::string::npos || text.size() - colon - 1 != proofs::no_hash.size()) {
        return fail(
            Code::invalid, "--head expects NUMBER:HASH as `vmctl audit head` prints it, found " + quote(text)
        );
    }
    return proofs::LedgerMark{*seq, text.substr(colon + 1)};
}

Result<void> report(const Settings& settings, const proofs::LedgerCheck& check) {
    const auto& head = check.head();
    if (settings.output == "json") {
        json::Object out;
        out.emplace_back("records", json::Value::integer(static_cast<std::int64_t>(check.records())));
        out.emplace_back("signatures", json::Value::integer(static_cast<std::int64_t>(check.signatures())));
        out.emplace_back("head", json::Value{check.last().hash});
        json::List findings;
        for (const auto& finding : check.findings()) {
            findings.emplace_back(finding);
        }
        out.emplace_back("findings", json::Value{std::move(findings)});
        print_json(json::Value{std::move(out)});
    } else {
        for (const auto& finding : check.findings()) {
            std::fprintf(stderr, "%s\n", finding.c_str());
        }
        std::printf("%zu records, %zu signatures checked\n", check.records(), check.signatures());
        if (head) {
            std::printf(
                "the end is %lld:%s, signed by %s at %s\n",
                static_cast<long long>(head->seq),
                head->hash.c_str(),
                head->signer.c_str(),
                head->at.c_str()
            );
        }
    }
    if (!check.findings().empty()) {
        return fail(Error{
            Code::conflict,
            "the ledger is not whole: " + std::to_string(check.findings().size()) + " findings"
        }
                        .with_slug("ledger-broken"));
    }
    return {};
}

Result<void> check_stream(const Settings& settings, const AuditOptions& options, std::istream& from) {
    const auto signatures = crypto::create_signatures();
    proofs::LedgerCheck::Expected expected;
    expected.signer = options.signer;
    expected.gaps = options.own;
    if (!options.head.empty()) {
        TRY(expected.mark, mark_of(options.head));
    }
    proofs::LedgerCheck check{*signatures, std::move(expected)};
    for (std::string line; std::getline(from, line);) {
        check.add(line);
    }
    check.finish();
    return report(settings, check);
}

Result<void> verify(const Settings& settings, const AuditOptions& options) {
    if (options.file == "-") {
        return check_stream(settings, options, std::cin);
    }
    if (!options.file.empty()) {
        std::ifstream file{options.file};
        return file ? check_stream(settings, options, file)
                    : fail(Code::not_found, "there is no file " + quote(options.file));
    }
    std::string name = "/tmp/vmctl-ledger-XXXXXX";
    const Fd file{::mkostemp(name.data(), O_CLOEXEC)};
    if (!file) {
        return fail(os_error("making a file for the ledger"));
    }
    const auto came = download(settings, file.get());
    std::ifstream lines{name};
    ::unlink(name.c_str());
    CHECK(came);
    return check_stream(settings, options, lines);
}

Result<void> show_head(const Settings& settings) {
    Client client{settings};
    TRY(const auto head, client.call("GET", "/audit/head"));
    if (settings.output == "json") {
        print_json(head);
    } else {
        std::printf(
            "%s:%s\nsigned by %s at %s\n",
            shown(head, "seq").c_str(),
            shown(head, "hash").c_str(),
            shown(head, "signer").c_str(),
            shown(head, "at").c_str()
        );
    }
    return {};
}

}  // namespace

void Vmctl::add_audit_commands() {
    auto* audit = command("audit", "The ledger of all requests that would change something");
    audit->require_subcommand(1);
    auto options = std::make_shared<AuditOptions>();
    auto* listing = command("ls", "Your records, newest first; everybody's for administrators", audit);
    listing->add_option("--address", options->address, "Only those of this address");
    listing->add_option("--about", options->about, "Only those about this machine, team, image or account");
    listing->add_option("--outcome", options->outcome, "allowed, denied, refused or interrupted");
    listing->add_option("--limit", options->limit, "How many")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    action(listing, [this, options] { return list(settings_, *options); });

    action(
        command(
            "head", "The ledger's end, signed by the service; keep it to hold the ledger against it", audit
        ),
        [this] { return show_head(settings_); }
    );

    auto* exporting = command("export", "Write the whole ledger into a file, as JSON lines", audit);
    auto to = std::make_shared<std::string>();
    exporting->add_option("file", *to, "The file")->required();
    action(exporting, [this, to] { return export_to(settings_, *to); });

    auto* verifying =
        command("verify", "Recompute the chain and every signature, and say what does not fit", audit);
    auto what = std::make_shared<AuditOptions>();
    verifying->add_option(
        "file", what->file, "An export, or - for standard input; the service's own when not given"
    );
    verifying->add_option("--signer", what->signer, "The address that must have signed the end");
    verifying->add_option("--head", what->head, "NUMBER:HASH of an earlier end, which must still be in it");
    verifying->add_flag("--own", what->own, "The file holds only some of the records, such as one's own");
    action(verifying, [this, what] { return verify(settings_, *what); });
}

}  // namespace vmm::cli
