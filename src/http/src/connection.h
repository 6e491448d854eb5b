#pragma once

#include <chrono>

namespace vmm::http {

// What a worker does with its connections, plain or encrypted.
class Connection {
public:
    Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    virtual ~Connection() = default;

    // Between requests, so that a server that stops may close it.
    [[nodiscard]] virtual bool idle() const = 0;

    // Whether what it waits for has taken too long; then it is to be ended.
    [[nodiscard]] virtual bool overdue(std::chrono::steady_clock::time_point at) const = 0;

    // Ends what it waits for.
    virtual void cancel() = 0;
    virtual void end() = 0;
};

}  // namespace vmm::http
