#pragma once

#include "vmm/app/application.h"
#include "vmm/http/limits.h"
#include "vmm/http/network.h"
#include "vmm/proofs/sign_in.h"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace vmm::http {

// What the HTTP side works with. Registry, permissions, signatures, replay and the look-ups of accounts and
// teams are used from the server's threads; the rest only on the application's executor.
struct Service {
    Service(app::Application& app, asio::any_io_executor executor)
        : world{app.world},
          fleet{app.fleet},
          images{app.images},
          accounts{app.accounts},
          teams{app.teams},
          permissions{app.permissions},
          quotas{app.quotas},
          sessions{app.sessions},
          revocations{app.revocations},
          replay{app.replay},
          ledger{app.ledger},
          health{app.health},
          guests{app.guests},
          application{std::move(executor)} {}

    app::World& world;
    app::Fleet& fleet;
    app::Images& images;
    app::Accounts& accounts;
    app::Teams& teams;
    app::Permissions& permissions;
    app::Quotas& quotas;
    app::Sessions& sessions;
    app::Revocations& revocations;
    app::Replay& replay;
    app::Ledger& ledger;
    app::Health& health;
    app::Guests& guests;
    asio::any_io_executor application;
    std::string version;
    std::chrono::steady_clock::time_point started_at = std::chrono::steady_clock::now();
    std::chrono::milliseconds request_timeout{30000};  // then an action goes on as an operation
    std::size_t max_body_bytes = 10 << 20;
    std::size_t max_header_bytes = 16 << 10;
    std::chrono::milliseconds idle_limit{60000};    // of a connection between requests
    std::chrono::milliseconds header_limit{10000};  // from a request's first byte to the end of its headers
    std::chrono::milliseconds body_limit{60000};    // for the body, and for taking the answer
    proofs::SignInRules sign_in;
    std::vector<std::string> cors_origins;  // origins whose pages may call, beside one's own
    std::vector<Network> trusted_proxies;   // whose X-Forwarded-For is believed
    std::unique_ptr<Limits> limits = std::make_unique<Limits>();
    bool legacy_auth = false;                // signatures in bodies
    bool metadata = false;                   // serves guests in their networks, and nothing else
    bool guests_only = false;                // serves what guests call, and nothing else
    bool encrypted = false;                  // TLS
    std::function<std::int64_t()> clock_ns;  // Unix time in nanoseconds
};

// The answer of an ended operation as its requester gets it, for World::render.
app::Answer render(const domain::Operation& operation, const domain::Vm* vm);

app::Answer render_image(const domain::Operation& operation, const app::ImageView* view);

// A machine as clients get it, for the Registry.
std::string present(const domain::Vm& vm);

// The document at /openapi.json, made from the route table.
std::string openapi_document(const std::string& version);

}  // namespace vmm::http
