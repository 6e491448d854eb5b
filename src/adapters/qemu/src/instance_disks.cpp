#include "vmm/base/text.h"
#include "vmm/json/write.h"

#include <algorithm>

#include "argv.h"
#include "instance.h"

// A running machine's disks, over QMP. Every change looks first at what is there, so that it can be made
// again after an interruption.
namespace vmm::qemu {
namespace {

using namespace std::chrono_literals;

constexpr auto unplug_limit = 10s;
constexpr auto copy_limit = 24h;
constexpr std::string_view copy_node = "root-copy";
constexpr std::string_view copy_job = "root-copy-job";

using json::text;

std::string member(std::string_view name, std::string_view value) {
    return text(name) + ":" + text(value);
}

// "scsi-hd,bus=x,id=y" as the object that device_add takes.
std::string as_object(std::string_view device) {
    std::string out = "{" + member("driver", device.substr(0, device.find(',')));
    while (device.contains(',')) {
        device.remove_prefix(device.find(',') + 1);
        const auto part = device.substr(0, device.find(','));
        const auto name = part.substr(0, part.find('='));
        const auto value = part.substr(part.find('=') + 1);
        const bool flag = value == "on" || value == "off";
        out.append(",").append(text(name)).append(":");
        // write-cache is on/off/auto, which travels as text.
        out.append(flag && name != "write-cache" ? (value == "on" ? "true" : "false") : text(value));
    }
    return out.append("}");
}

}  // namespace

// The node as query-named-block-nodes tells it; null when there is none.
Task<json::Value> QemuInstance::find_node(std::string node) {
    CO_TRY(auto nodes, co_await execute("query-named-block-nodes", R"({"flat":true})"));
    if (auto* list = nodes.as<json::List>()) {
        for (auto& each : *list) {
            if (each.text_or("node-name", "") == node) {
                co_return std::move(each);
            }
        }
    }
    co_return json::Value{};
}

Task<bool> QemuInstance::has_device(std::string device) {
    CO_TRY(const auto children, co_await execute("qom-list", R"({"path":"/machine/peripheral"})"));
    const auto* list = children.as<json::List>();
    co_return list != nullptr&& std::ranges::any_of(*list, [&device](const auto& each) {
        return each.text_or("name", "") == device;
    });
}

Task<void> QemuInstance::await_event(std::string name, std::string device, std::chrono::milliseconds limit) {
    const auto self = shared_from_this();
    if (!awaited_.happened && !is_gone_) {
        happened_.expires_after(limit);
        co_await happened_.async_wait(as_value);
    }
    const auto seen = std::exchange(awaited_, {});
    if (is_gone_) {
        const std::string reason = end_reason_.empty() ? "it was told to" : end_reason_;
        co_return fail(Error{Code::unavailable, "the machine ended: " + reason}.with_slug("monitor-gone"));
    }
    if (!seen.happened) {
        co_return fail(Code::timed_out, "QEMU did not report " + name + " of " + device + " in time");
    }
    if (!seen.error.empty()) {
        co_return fail(Error{Code::unavailable, "QEMU: " + seen.error}.with_slug(
            seen.error.find("No space left") != std::string::npos ? "no-space" : "qemu-failed"
        ));
    }
    co_return Result<void>{};
}

Task<void> QemuInstance::attach(ports::DiskPlan disk) {
    CO_TRY(const auto node, co_await find_node(node_of(disk.id)));
    if (node.is_null()) {
        CO_CHECK(co_await execute("blockdev-add", block_node(disk)));
    }
    CO_TRY(const bool plugged, co_await has_device(device_of(disk.id)));
    if (plugged) {
        co_return Result<void>{};
    }
    auto added = co_await execute("device_add", as_object(disk_device(disk)));
    if (!added) {
        (void)co_await execute("blockdev-del", "{" + member("node-name", node_of(disk.id)) + "}");
        co_return fail(std::move(added).error());
    }
    co_return Result<void>{};
}

Task<void> QemuInstance::detach(std::string disk) {
    const auto device = device_of(disk);
    CO_TRY(const bool plugged, co_await has_device(device));
    if (plugged) {
        awaited_ = {"DEVICE_DELETED", device, false, ""};
        auto asked = co_await execute("device_del", "{" + member("id", device) + "}");
        if (!asked) {
            awaited_ = {};
            co_return fail(std::move(asked).error());
        }
        CO_CHECK(co_await await_event("DEVICE_DELETED", device, unplug_limit));
    }
    CO_TRY(const auto node, co_await find_node(node_of(disk)));
    if (!node.is_null()) {
        // Closing the node writes out what QEMU still holds.
        CO_CHECK(co_await execute("blockdev-del", "{" + member("node-name", node_of(disk)) + "}"));
    }
    co_return Result<void>{};
}

Task<void> QemuInstance::resize(std::string disk, std::uint64_t bytes) {
    CO_TRY(const auto node, co_await find_node(node_of(disk)));
    const auto* image = node.find("image");
    const auto* size = image == nullptr ? nullptr : image->find("virtual-size");
    const auto* number = size == nullptr ? nullptr : size->as<json::Number>();
    const auto has = number == nullptr ? std::nullopt : parse_number<std::uint64_t>(number->text);
    if (!has) {
        co_return fail(Code::unavailable, "QEMU does not tell the disk's size");
    }
    // QEMU would also shrink.
    if (*has < bytes) {
        CO_CHECK(co_await execute(
            "block_resize",
            "{" + member("node-name", node_of(disk)) + R"(,"size":)" + std::to_string(bytes) + "}"
        ));
    }
    co_return Result<void>{};
}

Task<void> QemuInstance::limit(std::string disk, std::uint32_t iops, std::uint32_t throughput_mbps) {
    // A virtio disk's device is a shell around the one that has the backend.
    const auto device =
        disk == "root" ? "/machine/peripheral/" + device_of(disk) + "/virtio-backend" : device_of(disk);
    const std::string arguments = "{" + member("id", device) + R"(,"bps":)" +
                                  std::to_string(static_cast<std::uint64_t>(throughput_mbps) * 1'000'000) +
                                  R"(,"bps_rd":0,"bps_wr":0,"iops":)" + std::to_string(iops) +
                                  R"(,"iops_rd":0,"iops_wr":0})";
    CO_CHECK(co_await execute("block_set_io_throttle", arguments));
    co_return Result<void>{};
}

// Ends a copy that an earlier run of the service began, and takes its target away.
Task<void> QemuInstance::end_copy() {
    CO_TRY(const auto jobs, co_await execute("query-block-jobs"));
    const auto* list = jobs.as<json::List>();
    if (list != nullptr &&
        std::ranges::any_of(*list, [](const auto& job) { return job.text_or("device", "") == copy_job; })) {
        awaited_ = {"BLOCK_JOB_CANCELLED", std::string{copy_job}, false, ""};
        (void)co_await execute("block-job-cancel", "{" + member("device", copy_job) + R"(,"force":true})");
        (void)co_await await_event("BLOCK_JOB_CANCELLED", std::string{copy_job}, unplug_limit);
    }
    CO_TRY(const auto node, co_await find_node(std::string{copy_node}));
    if (!node.is_null()) {
        CO_CHECK(co_await execute("blockdev-del", "{" + member("node-name", copy_node) + "}"));
    }
    co_return Result<void>{};
}

Task<void> QemuInstance::copy_root(std::filesystem::path overlay, std::function<Task<void>()> begun) {
    const auto self = shared_from_this();
    CO_CHECK(co_await end_copy());
    CO_CHECK(co_await execute(
        "blockdev-add",
        R"({"driver":"qcow2",)" + member("node-name", copy_node) +
            R"(,"backing":null,"file":{"driver":"file",)" + member("filename", overlay.string()) + "}}"
    ));
    // Of the state at this instant: what the guest overwrites meanwhile is copied before it is.
    awaited_ = {"BLOCK_JOB_COMPLETED", std::string{copy_job}, false, ""};
    auto copied = co_await execute(
        "blockdev-backup",
        "{" + member("job-id", copy_job) + "," + member("device", "disk") + "," +
            member("target", copy_node) + R"(,"sync":"top"})"
    );
    Result<void> done;
    if (begun) {
        (void)co_await begun();
    }
    if (copied) {
        done = co_await await_event("BLOCK_JOB_COMPLETED", std::string{copy_job}, copy_limit);
    } else {
        awaited_ = {};
        done = fail(std::move(copied).error());
    }
    if (!is_gone_) {
        // Closing it writes its tables out.
        auto closed = co_await execute("blockdev-del", "{" + member("node-name", copy_node) + "}");
        if (done && !closed) {
            done = fail(std::move(closed).error());
        }
    }
    co_return done;
}

}  // namespace vmm::qemu
