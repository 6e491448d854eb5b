// What guests and their owners send: DNS questions, leases, netlink messages, Formfiles in both forms, user
// data, build contexts, forms.
#include "vmm/seed/seeds.h"

#include <cstdlib>
#include <string>
#include <string_view>

#include "dns.h"
#include "dnsmasq.h"
#include "multipart.h"
#include "watcher.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    using namespace vmm;
    static const auto seeds = seed::create_seeds();
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    if (const auto question = network::read_query(text)) {
        (void)network::write_answer(*question, {true, "1234"});
        (void)network::reversed(question->name);
    }
    (void)network::read_leases(text);
    network::Disturbance state;
    network::read_rule_messages(text, "vmm_x", "own", state);
    (void)network::read_gone_links(text);
    if (text.size() < 4096) {
        // What was read once is read again without its passwords.
        if (seeds->read_formfile(text)) {
            const auto kept = seeds->without_passwords(text);
            if (!kept || !seeds->read_formfile(*kept)) {
                std::abort();
            }
        }
    }
    (void)seeds->check_user_data(text);
    (void)seeds->check_context(text);
    (void)http::read_multipart("multipart/form-data; boundary=x", text);
    return 0;
}
