#include "vmm/base/text.h"
#include "vmm/json/write.h"

#include "argv.h"
#include "instance.h"

// A running machine's interfaces and its seed, over QMP. Every change looks first at what is there, so that
// it can be made again after an interruption.
namespace vmm::qemu {
namespace {

using namespace std::chrono_literals;

constexpr auto give_limit = 5s;
constexpr auto unplug_limit = 10s;

using json::text;

std::string netdev_object(const ports::NicPlan& nic, const std::string& descriptor) {
    const auto id = R"({"id":)" + text("net-" + nic.id);
    if (nic.tap) {
        return id + R"(,"type":"tap","fd":)" + text(descriptor) + "}";
    }
    std::string forwards;
    for (const auto& port : nic.ports) {
        forwards.append(forwards.empty() ? "" : ",")
            .append(R"({"str":)")
            .append(text(forward(port)))
            .append("}");
    }
    return id + R"(,"type":"user","restrict":)" + (nic.closed ? "true" : "false") + R"(,"hostfwd":[)" +
           forwards + "]}";
}

std::string device_object(const ports::NicPlan& nic, int slot) {
    std::string out = R"({"driver":"virtio-net-pci","romfile":"","id":)" + text(nic.id) + R"(,"netdev":)" +
                      text("net-" + nic.id) + R"(,"mac":)" + text(nic.mac) + R"(,"bus":)" +
                      text("plug" + std::to_string(slot));
    if (nic.mtu != domain::default_mtu) {
        out.append(R"(,"host_mtu":)").append(std::to_string(nic.mtu));
    }
    return out + "}";
}

}  // namespace

Task<void> QemuInstance::plug(ports::NicPlan nic) {
    const auto self = shared_from_this();
    CO_TRY(const bool there, co_await has_device(nic.id));
    if (there) {
        co_return Result<void>{};
    }
    const auto remove = R"({"id":)" + text("net-" + nic.id) + "}";
    // Left behind by an interrupted attempt, or nothing.
    (void)co_await execute("netdev_del", remove);
    const auto descriptor = "tap-" + nic.id;
    if (nic.tap) {
        CO_CHECK(co_await monitor_->give(descriptor, nic.tap->get(), give_limit));
    }
    CO_CHECK(co_await execute("netdev_add", netdev_object(nic, descriptor)));
    std::string why;
    for (int slot = 0; slot < nic_slots; ++slot) {
        const auto added = co_await execute("device_add", device_object(nic, slot));
        if (added) {
            co_return Result<void>{};
        }
        why = added.error().message();
        if (!why.contains("in use") && !why.contains("not found")) {
            break;
        }
    }
    (void)co_await execute("netdev_del", remove);
    co_return fail(Error{Code::conflict, "the machine takes no more interfaces while it runs: " + why}
                       .with_slug("no-slot")
                       .with_hint("stop the machine first"));
}

Task<void> QemuInstance::unplug(std::string nic) {
    const auto self = shared_from_this();
    const auto refused = [](const std::string& why) {
        return fail(Error{Code::conflict, "the interface cannot be taken out while the machine runs: " + why}
                        .with_slug("not-unpluggable")
                        .with_hint("stop the machine first"));
    };
    CO_TRY(const bool there, co_await has_device(nic));
    if (there) {
        awaited_ = {"DEVICE_DELETED", nic, false, ""};
        const auto asked = co_await execute("device_del", R"({"id":)" + text(nic) + "}");
        if (!asked) {
            awaited_ = {};
            co_return refused(asked.error().message());
        }
        const auto gone = co_await await_event("DEVICE_DELETED", nic, unplug_limit);
        if (!gone) {
            co_return refused("the guest does not let go of it");
        }
    }
    (void)co_await execute("netdev_del", R"({"id":)" + text("net-" + nic) + "}");
    co_return Result<void>{};
}

// What QEMU's human monitor answers; nothing when all is well.
Task<std::string> QemuInstance::monitor_says(std::string command) {
    CO_TRY(
        const auto answer,
        co_await execute("human-monitor-command", R"({"command-line":)" + text(command) + "}")
    );
    const auto* said = answer.as<std::string>();
    co_return said == nullptr ? std::string{} : std::string{trim(*said)};
}

Task<void> QemuInstance::publish(std::string nic, domain::PublishedPort port) {
    CO_TRY(const auto said, co_await monitor_says("hostfwd_add net-" + nic + " " + forward(port)));
    if (!said.empty()) {
        co_return fail(Error{
            Code::conflict,
            "the host's " + port.protocol + " port " + std::to_string(port.host_port) +
                " cannot be taken: QEMU says " + quote(said, 200)
        }
                           .with_slug("port-taken")
                           .with_field("host_port"));
    }
    co_return Result<void>{};
}

Task<void> QemuInstance::unpublish(std::string nic, domain::PublishedPort port) {
    // That there is none any more is no failure.
    CO_CHECK(co_await monitor_says(
        "hostfwd_remove net-" + nic + " " + port.protocol + ":" + port.host_address + ":" +
        std::to_string(port.host_port)
    ));
    co_return Result<void>{};
}

std::shared_ptr<ports::GuestAgent> QemuInstance::agent() {
    if (!agent_) {
        agent_ = std::make_shared<Agent>(executor_, folder_ / "agent.sock");
    }
    return agent_;
}

Task<void> QemuInstance::eject_seed() {
    const auto self = shared_from_this();
    CO_TRY(const auto node, co_await find_node("seed"));
    if (node.is_null()) {
        co_return Result<void>{};
    }
    CO_CHECK(co_await execute("blockdev-open-tray", R"({"id":"seed0","force":true})"));
    CO_CHECK(co_await execute("blockdev-remove-medium", R"({"id":"seed0"})"));
    CO_CHECK(co_await execute("blockdev-del", R"({"node-name":"seed"})"));
    co_return Result<void>{};
}

}  // namespace vmm::qemu
