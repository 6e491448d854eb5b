#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>

namespace vmm::http {

// How often something may happen: so many times a second on average, and so many at once.
struct Rate {
    double per_second = 0;  // 0: no limit
    double burst = 0;
};

// Token buckets, one for each key. Thread-safe. Holds a bounded number of keys: when there are more, the one
// that was used longest ago begins anew.
class Buckets {
public:
    using Time = std::chrono::steady_clock::time_point;

    explicit Buckets(Rate rate = {}, std::size_t most_keys = 65'536) : rate_{rate}, most_{most_keys} {}

    struct Verdict {
        bool allowed = true;
        std::int64_t remaining = 0;      // tokens
        std::int64_t retry_after_s = 0;  // until there is one, when there is none; at least 1
    };

    [[nodiscard]] bool limits() const { return rate_.per_second > 0; }

    [[nodiscard]] const Rate& rate() const { return rate_; }

    // Takes a token when there is one.
    Verdict take(const std::string& key, Time at);

    // Whether there is one.
    Verdict look(const std::string& key, Time at);

    // Takes one also when there is none: what is counted has happened.
    void charge(const std::string& key, Time at);

private:
    struct Bucket {
        double tokens = 0;
        Time filled;
        std::list<std::string>::iterator used;
    };

    Bucket& filled(const std::string& key, Time at);
    [[nodiscard]] Verdict verdict(const Bucket& bucket, bool allowed) const;

    Rate rate_;
    std::size_t most_;
    std::mutex mutex_;
    std::unordered_map<std::string, Bucket> buckets_;
    std::list<std::string> by_use_;  // the last used first
};

// The limits in force. A source is the address that a request comes from, or the /64 network of an IPv6
// address.
struct Limits {
    Limits() = default;

    Limits(Rate by_source, Rate by_failures, Rate by_address)
        : source{by_source}, failures{by_failures}, address{by_address} {}

    Buckets source;    // requests of one source, whoever they say they are
    Buckets failures;  // requests of one source whose caller could not be named
    Buckets address;   // requests of one account
};

// The key of an address in the buckets by source.
std::string source_of(const std::string& address);

}  // namespace vmm::http
