// A whole HTTP session on a stream in memory, through routing, authentication and decoding to the application
// over fakes.
#include "vmm/crypto/signatures.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/beast/_experimental/test/stream.hpp>
#include <spdlog/spdlog.h>

#include "session.h"
#include "vmm_test/fakes.h"

namespace {

using namespace vmm;

struct World {
    World() {
        spdlog::set_level(spdlog::level::off);
        service.clock_ns = [] { return std::int64_t{1'700'000'000} * 1'000'000'000; };
        service.max_body_bytes = 4096;
        app.world.render = &http::render;
    }

    asio::io_context loop;
    app::Settings settings;
    test::MemoryStore store;
    test::FakeHypervisor hypervisor;
    test::FakeImages images;
    test::FakeDisks disks;
    test::FakeHost host;
    std::unique_ptr<ports::Signatures> signatures = crypto::create_signatures();
    app::Application app{
        settings,
        app::Ports{store, hypervisor, images, disks, host, *signatures},
        loop.get_executor(),
        &http::present
    };
    http::Service service{app, loop.get_executor()};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    using Stream = boost::beast::test::stream;
    World world;
    Stream ours{world.loop, {reinterpret_cast<const char*>(data), size}};
    Stream theirs{world.loop};
    ours.connect(theirs);
    theirs.close();
    const std::atomic<bool> draining{false};
    http::Session<Stream> session{std::move(ours), world.service, "fuzz", draining};
    asio::co_spawn(world.loop, session.run(), [](const std::exception_ptr& thrown) {
        if (thrown) {
            std::rethrow_exception(thrown);
        }
    });
    world.loop.run();
    return 0;
}
