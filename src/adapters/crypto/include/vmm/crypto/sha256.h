#pragma once

#include "vmm/ports/signatures.h"

#include <memory>
#include <string_view>

namespace vmm::crypto {

// SHA-256 of data that comes in pieces. Used by one thread at a time.
class Sha256 {
public:
    Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;
    ~Sha256();

    void add(std::string_view data);

    // Of everything added so far; more may be added afterwards.
    [[nodiscard]] ports::Digest digest() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

// Of one piece.
ports::Digest sha256(std::string_view data);

}  // namespace vmm::crypto
