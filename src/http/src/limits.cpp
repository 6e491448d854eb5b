#include "vmm/http/limits.h"

#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <cmath>

namespace vmm::http {

Buckets::Bucket& Buckets::filled(const std::string& key, Time at) {
    const auto [place, fresh] = buckets_.try_emplace(key);
    auto& bucket = place->second;
    if (fresh) {
        by_use_.push_front(key);
        bucket = {rate_.burst, at, by_use_.begin()};
        if (buckets_.size() > most_) {
            buckets_.erase(by_use_.back());
            by_use_.pop_back();
        }
        return bucket;
    }
    by_use_.splice(by_use_.begin(), by_use_, bucket.used);
    const std::chrono::duration<double> passed = at - bucket.filled;
    bucket.tokens = std::min(rate_.burst, bucket.tokens + std::max(0.0, passed.count()) * rate_.per_second);
    bucket.filled = std::max(bucket.filled, at);
    return bucket;
}

Buckets::Verdict Buckets::verdict(const Bucket& bucket, bool allowed) const {
    Verdict out;
    out.allowed = allowed;
    out.remaining = std::max<std::int64_t>(0, static_cast<std::int64_t>(std::floor(bucket.tokens)));
    if (!allowed) {
        const auto wait = std::ceil((1 - bucket.tokens) / rate_.per_second);
        out.retry_after_s = std::max<std::int64_t>(1, static_cast<std::int64_t>(wait));
    }
    return out;
}

Buckets::Verdict Buckets::take(const std::string& key, Time at) {
    if (!limits()) {
        return {};
    }
    const std::lock_guard lock{mutex_};
    auto& bucket = filled(key, at);
    const bool allowed = bucket.tokens >= 1;
    bucket.tokens -= allowed ? 1 : 0;
    return verdict(bucket, allowed);
}

Buckets::Verdict Buckets::look(const std::string& key, Time at) {
    if (!limits()) {
        return {};
    }
    const std::lock_guard lock{mutex_};
    const auto& bucket = filled(key, at);
    return verdict(bucket, bucket.tokens >= 1);
}

void Buckets::charge(const std::string& key, Time at) {
    if (!limits()) {
        return;
    }
    const std::lock_guard lock{mutex_};
    auto& bucket = filled(key, at);
    // Never so deep that one burst locks a source out for long.
    bucket.tokens = std::max(-rate_.burst, bucket.tokens - 1);
}

std::string source_of(const std::string& address) {
    boost::system::error_code wrong;
    const auto parsed = boost::asio::ip::make_address(address, wrong);
    if (wrong || !parsed.is_v6() || parsed.to_v6().is_v4_mapped()) {
        return address;
    }
    const auto bytes = parsed.to_v6().to_bytes();
    return {reinterpret_cast<const char*>(bytes.data()), 8};
}

}  // namespace vmm::http
