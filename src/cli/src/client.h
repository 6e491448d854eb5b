#pragma once

#include "vmm/crypto/signatures.h"
#include "vmm/fetch/client.h"
#include "vmm/json/value.h"

#include <optional>
#include <string>

#include "settings.h"

namespace vmm::cli {

// The text as it may stand in a query.
std::string query_escaped(std::string_view text);

// Signed requests to one service.
class Client {
public:
    explicit Client(const Settings& settings) : settings_{settings} {}

    // The answer's body, null when it has none. A problem comes back as an Error with the server's words,
    // field and hint.
    Result<json::Value>
    call(const std::string& method, const std::string& target, const std::string& body = "");

    // A body that is no JSON; it is signed by its SHA-256.
    Result<json::Value> call_with(
        const std::string& method,
        const std::string& target,
        const std::string& content_type,
        std::string body
    );

    // The answer's body as it comes. A problem comes back as from call().
    Result<void>
    stream(const std::string& method, const std::string& target, const std::string& body, fetch::Piece piece);

    // The same without a signature.
    Result<json::Value> call_unsigned(const std::string& method, const std::string& target);

    // Headers for the next calls.
    void set_header(const std::string& name, const std::string& value) { extra_.emplace_back(name, value); }

    // The text beside the spinner.
    void set_doing(std::string what) { doing_ = std::move(what); }

    // The id of the machine with this name or id. not_found, conflict when several fit.
    Result<std::string> resolve(const std::string& name_or_id);

    Result<crypto::Signer> signer();

    // The address as given; one's own when it is empty.
    Result<std::string> address_or_own(const std::string& given);

    // The id of the team with this name or id, of those that one is a member of. not_found, conflict.
    Result<std::string> resolve_team(const std::string& name_or_id);

    // The headers that sign a request whose body, if it has one, is `data` in the signed text: canonical
    // JSON, or a SHA-256.
    Result<std::vector<std::pair<std::string, std::string>>>
    signature(const std::string& method, const std::string& target, const std::string& data);

    // The answer's JSON, or its problem as an Error.
    Result<json::Value> read(const fetch::Response& response, const std::string& target);

    [[nodiscard]] Result<fetch::Origin> origin() const {
        TRY(auto origin, fetch::parse_origin(settings_.url));
        origin.ca_file = settings_.ca_file;
        return origin;
    }

private:
    Result<fetch::Response> exchange(fetch::Request request, fetch::Piece piece);
    Result<json::Value> send(fetch::Request request);

    const Settings& settings_;
    std::optional<crypto::Signer> signer_;
    std::vector<std::pair<std::string, std::string>> extra_;
    std::string doing_ = "waiting for the service";
};

}  // namespace vmm::cli
