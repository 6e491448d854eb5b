#include "vmm/base/text.h"
#include "vmm/domain/network.h"
#include "vmm/json/value.h"

#include <algorithm>
#include <charconv>

#include "parts.h"

// A guest's end of the mesh, in the format of wg-quick(8).
namespace vmm::seed {
namespace {

constexpr std::size_t key_bytes = 32;

bool is_key(std::string_view text) {
    const auto bytes = from_base64(text);
    return bytes && bytes->size() == key_bytes;
}

// An address with its prefix.
bool is_address(std::string_view text) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) {
        return false;
    }
    const auto address = text.substr(0, slash);
    const auto bits = text.substr(slash + 1);
    unsigned prefix = 0;
    const auto [end, failed] = std::from_chars(bits.data(), bits.data() + bits.size(), prefix);
    const bool whole = failed == std::errc{} && end == bits.data() + bits.size();
    return whole &&
           ((domain::parse_ip4(address) && prefix <= 32) || (domain::parse_ip6(address) && prefix <= 128));
}

// HOST:PORT, the host a name or an address, an IPv6 address in brackets.
bool is_endpoint(std::string_view text) {
    const auto colon = text.rfind(':');
    return colon != std::string_view::npos && colon > 0 && colon + 1 < text.size() &&
           std::ranges::all_of(text, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      std::string_view{"-.:[]"}.contains(c);
           });
}

}  // namespace

std::string mesh_config(std::string_view invitation) {
    const auto read = json::parse(invitation);
    const auto* interface = read ? read->find("interface") : nullptr;
    const auto* server = read ? read->find("server") : nullptr;
    if (interface == nullptr || server == nullptr) {
        return {};
    }
    const auto address = interface->text_or("address", "");
    const auto key = interface->text_or("private-key", "");
    const auto peer = server->text_or("public-key", "");
    const auto endpoint = server->text_or("external-endpoint", "");
    if (!is_address(address) || !is_key(key) || !is_key(peer) || !is_endpoint(endpoint)) {
        return {};
    }
    std::string out = "[Interface]\n";
    out.append("Address = ").append(address).append("\nPrivateKey = ").append(key).append("\n");
    const auto* port = interface->find("listen-port");
    if (const auto* number = port == nullptr ? nullptr : port->as<json::Number>();
        number != nullptr && number->integral) {
        out.append("ListenPort = ").append(number->text).append("\n");
    }
    // Everybody in the mesh is reached through its server, until somebody in the guest knows better.
    out.append("\n[Peer]\nPublicKey = ").append(peer).append("\nEndpoint = ").append(endpoint);
    out.append("\nAllowedIPs = ").append(address).append("\nPersistentKeepalive = 25\n");
    return out;
}

}  // namespace vmm::seed
