#include "names.h"

#include "vmm/base/text.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <algorithm>
#include <array>

#include "dns.h"

namespace vmm::network {
namespace {

std::string bytes_of(domain::Ip4 address) {
    std::string out;
    for (int shift = 24; shift >= 0; shift -= 8) {
        out += static_cast<char>(address.value >> shift & 255);
    }
    return out;
}

std::string bytes_of(const domain::Ip6& address) {
    return {reinterpret_cast<const char*>(address.data()), address.size()};
}

}  // namespace

std::string label_of(std::string_view name) {
    auto out = lower(name);
    std::ranges::replace_if(out, [](char c) { return c == '.' || c == '_'; }, '-');
    return out;
}

Names::Names(asio::any_io_executor executor) : socket_{std::move(executor)} {}

Result<void> Names::open() {
    boost::system::error_code failed;
    const asio::ip::udp::endpoint here{asio::ip::address_v4::loopback(), 0};
    socket_.open(here.protocol(), failed);
    if (!failed) {
        socket_.bind(here, failed);
    }
    if (failed) {
        return fail(Code::unavailable, "the names of machines cannot be served: " + failed.message());
    }
    port_ = socket_.local_endpoint().port();
    asio::co_spawn(
        socket_.get_executor(), [self = shared_from_this()] { return self->serve(); }, asio::detached
    );
    return {};
}

void Names::close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
}

void Names::set(std::shared_ptr<const ports::Layout> layout) {
    by_name_.clear();
    by_address_.clear();
    by_address6_.clear();
    for (const auto& member : layout->members) {
        const Known known = [&] {
            Known one;
            one.owner = member.owner;
            one.name = label_of(member.name);
            return one;
        }();
        for (const auto& plugged : member.interfaces) {
            if (!plugged.interface.ip4) {
                continue;
            }
            by_name_.try_emplace({known.owner, known.name}, plugged);
            by_address_[*plugged.interface.ip4] = known;
            if (plugged.interface.ip6) {
                by_address6_[*plugged.interface.ip6] = known;
            }
        }
    }
}

std::string Names::answer(std::string_view message) const {
    const auto question = read_query(message);
    if (!question) {
        return {};
    }
    const Known* asker = nullptr;
    if (question->client) {
        const auto found = by_address_.find(*question->client);
        asker = found == by_address_.end() ? nullptr : &found->second;
    } else if (question->client6) {
        const auto found = by_address6_.find(*question->client6);
        asker = found == by_address6_.end() ? nullptr : &found->second;
    }
    DnsAnswer out;
    if (asker == nullptr) {
        return write_answer(*question, out);
    }
    if (const auto address = reversed(question->name)) {
        const auto found = by_address_.find(*address);
        out.exists = found != by_address_.end() && found->second.owner == asker->owner;
        if (out.exists && question->type == dns_ptr) {
            out.data = dns_name(found->second.name + "." + std::string{internal_domain});
        }
        return write_answer(*question, out);
    }
    const auto suffix = "." + std::string{internal_domain};
    if (question->name.ends_with(suffix)) {
        const auto name = question->name.substr(0, question->name.size() - suffix.size());
        const auto found = by_name_.find({asker->owner, name});
        out.exists = found != by_name_.end();
        if (out.exists && question->type == dns_a) {
            out.data = bytes_of(*found->second.interface.ip4);
        } else if (out.exists && question->type == dns_aaaa && found->second.interface.ip6) {
            out.data = bytes_of(*found->second.interface.ip6);
        }
    }
    return write_answer(*question, out);
}

asio::awaitable<void> Names::serve() {
    std::array<char, 1500> block{};
    asio::ip::udp::endpoint from;
    while (socket_.is_open()) {
        const auto [failed, count] = co_await socket_.async_receive_from(asio::buffer(block), from, as_value);
        if (failed) {
            break;
        }
        const auto reply = answer({block.data(), count});
        if (!reply.empty()) {
            (void)co_await socket_.async_send_to(asio::buffer(reply), from, as_value);
        }
    }
}

}  // namespace vmm::network
