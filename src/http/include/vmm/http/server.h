#pragma once

#include "vmm/http/service.h"

#include <cstdint>
#include <memory>
#include <string>

namespace vmm::http {

// Files in PEM. Encryption is on when there is a certificate.
struct TlsSettings {
    std::string certificate;  // with its chain
    std::string key;
    std::string client_ca;  // who must have signed a client's certificate; empty asks for none
};

struct ServerSettings {
    std::string host = "0.0.0.0";
    std::uint16_t port = 3003;  // 0: any free one
    unsigned workers = 2;       // threads, each with a loop and a listening socket of its own
    std::size_t max_connections = 16384;
    std::size_t max_connections_per_source = 0;  // 0: no limit
    TlsSettings tls;
};

// Accepts and serves connections on its own threads until stopped. Made in two steps, so that the port is
// known, and callers wait in line rather than being refused, while the machines are still being taken over.
class Server {
public:
    virtual ~Server() = default;

    // The port that is listened on.
    [[nodiscard]] virtual std::uint16_t port() const = 0;

    // Reads the certificate and its key again; on failure the old ones stay in force. Thread-safe.
    virtual Result<void> reload_certificate() = 0;

    virtual void start(Service& service) = 0;

    // Takes no new connections, lets requests in progress end for up to the limit, then closes. Blocks.
    virtual void stop(std::chrono::milliseconds limit) = 0;
};

// Listens. unavailable "port-in-use" and the like.
Result<std::unique_ptr<Server>> bind_server(const ServerSettings& settings);

}  // namespace vmm::http
