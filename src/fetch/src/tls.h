#pragma once

#include "vmm/base/task.h"
#include "vmm/fetch/client.h"

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/tcp_stream.hpp>

#include <memory>
#include <string>

// What every encrypted connection of ours begins with.
namespace vmm::fetch {

using Encrypted = asio::ssl::stream<boost::beast::tcp_stream>;

// A context that trusts the system's authorities and those in the file, if one is named.
inline Result<std::shared_ptr<asio::ssl::context>> tls_context(const std::string& ca_file) {
    auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
    boost::system::error_code failed;
    context->set_default_verify_paths(failed);
    if (!ca_file.empty() && (context->load_verify_file(ca_file, failed), failed)) {
        return fail(
            Code::unavailable, "the authorities in " + ca_file + " cannot be read: " + failed.message()
        );
    }
    return context;
}

// The handshake over a connection that stands; the name must be the certificate's.
inline asio::awaitable<boost::system::error_code> shake_hands(Encrypted& stream, std::string host) {
    stream.set_verify_mode(asio::ssl::verify_peer);
    stream.set_verify_callback(asio::ssl::host_name_verification{host});
    SSL_set_tlsext_host_name(stream.native_handle(), host.c_str());
    const auto [failed] = co_await stream.async_handshake(asio::ssl::stream_base::client, as_value);
    co_return failed;
}

}  // namespace vmm::fetch
