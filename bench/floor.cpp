// The least that a signed request can cost: a bare Beast server that recovers one signer per request and
// answers with a body of a machine's size. bench_floor PORT
#include "vmm/base/task.h"
#include "vmm/base/text.h"
#include "vmm/crypto/signatures.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include <algorithm>
#include <cstdlib>
#include <string>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using tcp = asio::ip::tcp;

asio::awaitable<void> serve(tcp::socket socket, const vmm::ports::Signatures& signatures) {
    beast::tcp_stream stream{std::move(socket)};
    beast::flat_buffer buffer;
    while (true) {
        bhttp::request<bhttp::string_body> request;
        const auto [failed, count] = co_await bhttp::async_read(stream, buffer, request, vmm::as_value);
        if (failed) {
            co_return;
        }
        vmm::ports::Signature signature;
        const auto bytes = vmm::from_hex(request["X-Signature"]);
        if (bytes && bytes->size() >= 64) {
            std::copy_n(bytes->begin(), 64, signature.rs.begin());
        }
        signature.recovery_id = request["X-Recovery-ID"] == "1" ? 1 : 0;
        std::string message{request.target()};
        message.append(":").append(request["X-Timestamp"]).append(":");
        const auto signer = signatures.recover(signatures.personal_digest(message), signature);
        bhttp::response<bhttp::string_body> response{
            signer ? bhttp::status::ok : bhttp::status::unauthorized, 11
        };
        response.set(bhttp::field::content_type, "application/json");
        response.body() = std::string(760, 'x');
        response.prepare_payload();
        const auto [lost, sent] = co_await bhttp::async_write(stream, response, vmm::as_value);
        if (lost) {
            co_return;
        }
    }
}

asio::awaitable<void> accept(tcp::acceptor acceptor, const vmm::ports::Signatures& signatures) {
    while (true) {
        auto [failed, socket] = co_await acceptor.async_accept(vmm::as_value);
        if (!failed) {
            socket.set_option(tcp::no_delay{true});
            asio::co_spawn(acceptor.get_executor(), serve(std::move(socket), signatures), asio::detached);
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    const auto signatures = vmm::crypto::create_signatures();
    asio::io_context loop{1};
    const auto port = static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 0);
    tcp::acceptor acceptor{loop, {asio::ip::address_v4::loopback(), port}};
    asio::co_spawn(loop, accept(std::move(acceptor), *signatures), asio::detached);
    loop.run();
}
