#include "vmm/base/text.h"
#include "vmm/json/decode.h"
#include "vmm/json/value.h"

#include "parts.h"

// The JSON that the platform's own tools send instead of a Formfile's text (docs/guests.md).
namespace vmm::seed {
namespace {

using domain::BuildStep;
using domain::Formfile;

std::unexpected<Error> wrong(std::string_view where, std::string_view what) {
    return invalid("formfile", std::string{where} + ": " + std::string{what});
}

Result<std::string> text(std::string_view where, const json::Value& value) {
    const auto* found = value.as<std::string>();
    return found == nullptr ? Result<std::string>{wrong(where, "expected a string")}
                            : Result<std::string>{*found};
}

template <class T>
Result<T> number(std::string_view where, const json::Value& value) {
    const auto* found = value.as<json::Number>();
    const auto parsed = found == nullptr ? std::nullopt : parse_number<T>(found->text);
    return parsed ? Result<T>{*parsed} : Result<T>{wrong(where, "expected a whole number")};
}

Result<std::vector<std::string>> texts(std::string_view where, const json::Value& value) {
    const auto* found = value.as<json::List>();
    if (found == nullptr) {
        return wrong(where, "expected a list of strings");
    }
    std::vector<std::string> out;
    for (const auto& each : *found) {
        TRY(auto one, text(where, each));
        out.push_back(std::move(one));
    }
    return out;
}

const json::Value& member(const json::Value& value, std::string_view name) {
    static const json::Value none;
    const auto* found = value.find(name);
    return found == nullptr ? none : *found;
}

Result<BuildStep> env(std::string_view where, const json::Value& value) {
    BuildStep step;
    step.kind = BuildStep::Kind::env;
    TRY(auto key, text(where, member(value, "key")));
    TRY(auto content, text(where, member(value, "value")));
    step.words = {std::move(key), std::move(content)};
    const auto& scope = member(value, "scope");
    if (const auto* user = scope.find("User")) {
        step.scope = BuildStep::Scope::user;
        TRY(step.who, text(where, *user));
    } else if (const auto* service = scope.find("Service")) {
        step.scope = BuildStep::Scope::service;
        TRY(step.who, text(where, *service));
    } else if (const auto* name = scope.as<std::string>();
               !scope.is_null() && (name == nullptr || *name != "System")) {
        return wrong(where, "expected the scope \"System\", {\"User\": …} or {\"Service\": …}");
    }
    return step;
}

Result<void> entrypoint(Formfile& out, std::string_view where, const json::Value& value) {
    TRY(auto command, text(where, member(value, "command")));
    if (command.empty()) {
        return {};
    }
    TRY(auto args, texts(where, member(value, "args")));
    out.entrypoint = {std::move(command)};
    out.entrypoint.insert(out.entrypoint.end(), args.begin(), args.end());
    return {};
}

Result<void> expose(Formfile& out, std::string_view where, const json::Value& value) {
    const auto* ports = value.as<json::List>();
    if (ports == nullptr) {
        return wrong(where, "expected a list of ports");
    }
    for (const auto& each : *ports) {
        TRY(const auto port, number<std::uint16_t>(where, each));
        if (port == 0) {
            return wrong(where, "expected a port from 1 to 65535");
        }
        out.exposes.push_back({port, "tcp"});
    }
    return {};
}

Result<void> instruction(Formfile& out, std::string_view where, const json::Value& value) {
    BuildStep step;
    if (const auto* run = value.find("Run")) {
        step.kind = BuildStep::Kind::run;
        TRY(auto command, text(where, *run));
        step.words = {std::move(command)};
    } else if (const auto* copy = value.find("Copy")) {
        step.kind = BuildStep::Kind::copy;
        TRY(step.words, texts(where, *copy));
        if (step.words.size() != 2) {
            return wrong(where, "expected [from, to]");
        }
    } else if (const auto* install = value.find("Install")) {
        step.kind = BuildStep::Kind::install;
        TRY(step.words, texts(where, member(*install, "packages")));
        if (step.words.empty()) {
            return wrong(where, "expected packages");
        }
    } else if (const auto* variable = value.find("Env")) {
        TRY(step, env(where, *variable));
    } else if (const auto* command = value.find("Entrypoint")) {
        return entrypoint(out, where, *command);
    } else if (const auto* ports = value.find("Expose")) {
        return expose(out, where, *ports);
    } else {
        return wrong(where, "expected Run, Copy, Install, Env, Entrypoint or Expose");
    }
    out.steps.push_back(std::move(step));
    return {};
}

// The first of each kind counts, as the platform has it.
Result<void> system(Formfile& out, std::string_view where, const json::Value& value) {
    const auto set = [&](std::string_view name, std::optional<std::uint32_t>& to) -> Result<bool> {
        const auto* found = value.find(name);
        if (found == nullptr) {
            return false;
        }
        TRY(const auto amount, number<std::uint32_t>(where, *found));
        to = to ? to : amount;
        return true;
    };
    TRY(const bool cpu, set("Cpu", out.vcpus));
    TRY(const bool memory, set("Memory", out.memory_mib));
    TRY(const bool disk, set("Disk", out.disk_gib));
    if (const auto* gpu = value.find("Gpu")) {
        domain::GpuWish wanted;
        TRY(wanted.model, text(where, member(*gpu, "model")));
        TRY(wanted.count, number<std::uint32_t>(where, member(*gpu, "count")));
        if (const auto known = domain::check_gpu(wanted.model, wanted.count); !known) {
            return wrong(where, known.error().message());
        }
        out.gpus.push_back(std::move(wanted));
        return {};
    }
    return cpu || memory || disk ? Result<void>{} : wrong(where, "expected Cpu, Memory, Disk or Gpu");
}

Result<void> user(Formfile& out, std::string_view where, const json::Value& value) {
    const auto* members = value.as<json::Object>();
    if (members == nullptr) {
        return wrong(where, "expected an object");
    }
    domain::FormfileUser made;
    for (const auto& [key, content] : *members) {
        std::string said;
        if (content.is_null()) {
            continue;
        }
        if (const auto* flag = content.template as<bool>()) {
            said = *flag ? "true" : "false";
        } else if (content.template as<json::List>() != nullptr) {
            TRY(const auto list, texts(where, content));
            for (const auto& each : list) {
                said.append(said.empty() ? "" : ",").append(each);
            }
        } else {
            TRY(said, text(where, content));
        }
        if (auto set = set_user_member(made, key, said); !set) {
            return wrong(where, set.error().message());
        }
    }
    if (made.username.empty()) {
        return wrong(where, "a user needs a username");
    }
    out.users.push_back(std::move(made));
    return {};
}

using Each = Result<void> (*)(Formfile&, std::string_view, const json::Value&);

Result<void> for_each(Formfile& out, const json::Value& whole, std::string_view name, Each each) {
    const auto& value = member(whole, name);
    if (value.is_null()) {
        return {};
    }
    const auto* list = value.as<json::List>();
    if (list == nullptr) {
        return wrong(name, "expected a list");
    }
    for (std::size_t i = 0; i < list->size(); ++i) {
        CHECK(each(out, std::string{name} + "[" + std::to_string(i) + "]", (*list)[i]));
    }
    return {};
}

}  // namespace

Result<Formfile> read_json_formfile(std::string_view said) {
    const auto whole = json::parse(said);
    if (!whole || whole->as<json::Object>() == nullptr) {
        return invalid(
            "formfile", "no valid JSON: " + (whole ? "expected an object" : whole.error().message())
        );
    }
    Formfile out;
    CHECK(for_each(out, *whole, "build_instructions", instruction));
    CHECK(for_each(out, *whole, "system_config", system));
    CHECK(for_each(out, *whole, "users", user));
    const std::array<std::pair<std::string_view, std::string*>, 5> plain{{
        {"name", &out.name},
        {"description", &out.description},
        {"workdir", &out.workdir},
        {"model_id", &out.model},
        {"from", &out.from},
    }};
    for (const auto& [name, to] : plain) {
        if (const auto& value = member(*whole, name); !value.is_null()) {
            TRY(*to, text(name, value));
        }
    }
    if (!out.workdir.starts_with('/')) {
        return wrong("workdir", "expected an absolute path");
    }
    if (const auto* required = member(*whole, "model_required").as<bool>()) {
        out.model_required = *required;
    }
    CHECK(domain::check_formfile(out));
    return out;
}

}  // namespace vmm::seed
