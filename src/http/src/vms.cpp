#include "vmm/base/ids.h"
#include "vmm/base/text.h"
#include "vmm/wire/messages.h"

#include <boost/asio/ip/address.hpp>

#include "actions.h"
#include "handlers.h"
#include "multipart.h"
#include "reply.h"
#include "represent.h"

namespace vmm::http {
namespace {

using domain::Job;

Reply vm_reply(const app::ShownVm& vm) {
    Reply reply;
    reply.body = vm.body;
    reply.headers.emplace_back("ETag", etag(vm));
    return reply;
}

Task<Reply> do_job(Service& service, Request& request, Job job, app::JobOptions options) {
    CO_TRY(const auto expected, if_match(request));
    const auto id = request.parameters.at("id");
    co_return co_await conclude(
        service, request, service.fleet.begin(request.caller, id, job, options, request.ticket, expected)
    );
}

Task<Reply> simple_job(Service& service, Request& request, Job job) {
    CO_CHECK(check_query(request, {}));
    CO_CHECK(body_of<wire::Nothing>(request));
    app::JobOptions options;
    co_return co_await do_job(service, request, job, options);
}

Task<Reply> stopping_job(Service& service, Request& request, Job job) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto wanted, body_of<wire::StopVm>(request));
    app::JobOptions options;
    options.timeout_s = wanted.timeout_s.value_or(service.world.settings.vm_shutdown_timeout_s);
    options.force = wanted.force.value_or(false);
    if (options.timeout_s < 0 || options.timeout_s > 3600) {
        co_return invalid("timeout_s", "expected 0 to 3600, found " + std::to_string(options.timeout_s));
    }
    co_return co_await do_job(service, request, job, options);
}

Result<app::Registry::Filter> filter_of(const Service& service, const Request& request) {
    CHECK(check_query(request, {"limit", "cursor", "status", "name", "owner", "team", "label"}));
    app::Registry::Filter filter;
    if (const auto* text = query(request, "status")) {
        filter.status = domain::status_named(*text);
        if (!filter.status) {
            return invalid("status", quote(*text) + " is no status of a machine");
        }
    }
    if (const auto* text = query(request, "name")) {
        filter.name = *text;
    }
    if (const auto* text = query(request, "owner")) {
        auto owner = service.world.signatures.parse_address(*text);
        if (!owner) {
            return invalid("owner", owner.error().message());
        }
        filter.owner = *owner;
    }
    if (const auto* text = query(request, "label")) {
        const auto equals = text->find('=');
        filter.label_key = text->substr(0, equals);
        if (equals != std::string::npos) {
            filter.label_value = text->substr(equals + 1);
        }
    }
    if (const auto* text = query(request, "team")) {
        if (!is_id("team", *text) || filter.owner) {
            return invalid("team", "expected a team's id, and no owner beside it; found " + quote(*text));
        }
        filter.owner = domain::Owner::of_team(*text);
    }
    return filter;
}

// The order as JSON, or as the part "request" of a form beside the build context.
Result<wire::CreateVm> order_of(const Request& request, std::string& context) {
    const auto* type = request.header("content-type");
    if (type == nullptr || !type->starts_with("multipart/form-data")) {
        return body_of<wire::CreateVm>(request);
    }
    TRY(auto parts, read_multipart(*type, request.body));
    for (const auto& [name, content] : parts) {
        if (name != "request" && name != "context") {
            return fail(Error{Code::invalid, "the form's part " + quote(name) + " is not known here"}
                            .with_slug("unknown-field")
                            .with_field(quote(name, 64)));
        }
    }
    const auto said = parts.find("request");
    if (said == parts.end()) {
        return invalid("request", "the form needs a part \"request\" with the order as JSON");
    }
    if (const auto given = parts.find("context"); given != parts.end()) {
        context = std::move(given->second);
    }
    TRY(const auto value, json::parse(said->second));
    return json::decode<wire::CreateVm>(value);
}

}  // namespace

Task<Reply> create_vm(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    app::CreateVm order;
    CO_TRY(auto wanted, order_of(request, order.context));
    order.name = std::move(wanted.name);
    order.formfile = wanted.formfile.value_or("");
    order.image = wanted.image.value_or("");
    order.vcpus = wanted.vcpus;
    order.memory_mib = wanted.memory_mib;
    order.disk_gib = wanted.disk_gib;
    order.labels = wanted.labels.value_or(std::map<std::string, std::string>{});
    order.team = wanted.team.value_or("");
    if (wanted.networks) {
        order.networks.emplace();
        for (std::size_t i = 0; i < wanted.networks->size(); ++i) {
            CO_TRY(auto wish, wish_of("networks[" + std::to_string(i) + "].", (*wanted.networks)[i]));
            order.networks->push_back(std::move(wish));
        }
    }
    for (auto& wish : wanted.gpus.value_or(std::vector<wire::GpuWish>{})) {
        order.gpus.push_back({std::move(wish.model), wish.count.value_or(1), 0});
    }
    order.ssh_keys = wanted.ssh_keys.value_or(std::vector<std::string>{});
    order.user_data = wanted.user_data.value_or("");
    order.start = wanted.start.value_or(true);
    co_return co_await conclude(
        service, request, service.fleet.create(request.caller, std::move(order), request.ticket)
    );
}

Task<Reply> list_vms(Service& service, Request& request) {
    CO_TRY(const auto filter, filter_of(service, request));
    CO_TRY(const auto limit, query_limit(request));
    const auto* cursor = query(request, "cursor");
    if (cursor != nullptr && !is_id("vm", *cursor)) {
        co_return invalid("cursor", "expected the next_cursor of an earlier page");
    }
    const app::Registry::Reader reader{
        request.caller,
        service.teams.of(request.caller.address),
        [&](const domain::Vm& vm) {
            return service.permissions.may(request.caller, domain::Action::view, vm);
        }
    };
    const auto page = service.world.registry.list(reader, filter, cursor == nullptr ? "" : *cursor, limit);
    Reply reply;
    reply.body.reserve(page.vms.size() * 900 + 64);
    reply.body.append(R"({"vms":[)");
    for (std::size_t i = 0; i < page.vms.size(); ++i) {
        reply.body.append(i == 0 ? "" : ",");
        reply.body.append(page.vms[i]->body);
    }
    reply.body.append(R"(],"next_cursor":)");
    reply.body.append(page.more ? "\"" + page.vms.back()->id + "\"}" : "null}");
    co_return reply;
}

Task<Reply> show_vm(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    const auto vm = service.world.registry.find(request.parameters.at("id"));
    if (!vm) {
        co_return fail(Code::not_found, "there is no such machine, or it is not visible to you");
    }
    const auto* known = request.header("if-none-match");
    if (known != nullptr && *known == etag(*vm)) {
        Reply unchanged;
        unchanged.status = 304;
        unchanged.headers.emplace_back("ETag", etag(*vm));
        co_return unchanged;
    }
    co_return vm_reply(*vm);
}

Task<Reply> update_vm(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto expected, if_match(request));
    CO_TRY(auto wanted, body_of<wire::UpdateVm>(request));
    app::Change change{std::move(wanted.name), std::move(wanted.labels)};
    const auto id = request.parameters.at("id");
    std::optional<app::VmView> changed;
    if (change.name || change.labels || !wanted.disk_gib) {
        CO_TRY(
            changed,
            co_await on_application(
                service, service.fleet.update(request.caller, id, std::move(change), request.ticket, expected)
            )
        );
    }
    if (!wanted.disk_gib) {
        co_return vm_reply(**changed);
    }
    auto ticket = changed ? app::Ticket{} : request.ticket;
    auto growing = service.fleet.grow(
        request.caller, id, "root", *wanted.disk_gib, std::move(ticket), changed ? std::nullopt : expected
    );
    co_return co_await conclude(service, request, std::move(growing));
}

Task<Reply> delete_vm(Service& service, Request& request) {
    CO_CHECK(check_query(request, {"force", "volumes"}));
    CO_CHECK(body_of<wire::Nothing>(request));
    app::JobOptions options;
    CO_TRY(options.force, query_flag(request, "force"));
    CO_TRY(options.with_volumes, query_flag(request, "volumes"));
    co_return co_await do_job(service, request, Job::remove, options);
}

Task<Reply> start_vm(Service& service, Request& request) {
    co_return co_await simple_job(service, request, Job::start);
}

Task<Reply> stop_vm(Service& service, Request& request) {
    co_return co_await stopping_job(service, request, Job::stop);
}

Task<Reply> restart_vm(Service& service, Request& request) {
    co_return co_await stopping_job(service, request, Job::restart);
}

Task<Reply> pause_vm(Service& service, Request& request) {
    co_return co_await simple_job(service, request, Job::pause);
}

Task<Reply> resume_vm(Service& service, Request& request) {
    co_return co_await simple_job(service, request, Job::resume);
}

Task<Reply> boot_complete(Service& service, Request& request) {
    CO_TRY(auto said, body_of<wire::BootComplete>(request));
    app::BootReport report;
    report.name = said.name.value_or("");
    report.build_id = said.build_id.value_or("");
    report.address = said.formnet_ip.value_or("");
    report.token = said.token.value_or("");
    report.source = service.metadata ? request.peer : "";
    boost::system::error_code wrong;
    if (!report.address.empty() && (asio::ip::make_address(report.address, wrong), wrong)) {
        co_return invalid("formnet_ip", quote(report.address) + " is no IP address");
    }
    CO_TRY(const auto vm, co_await on_application(service, service.fleet.boot_complete(std::move(report))));
    co_return vm_reply(*vm);
}

}  // namespace vmm::http
