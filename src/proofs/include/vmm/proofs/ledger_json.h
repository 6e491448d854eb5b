#pragma once

#include "vmm/proofs/ledger.h"

#include <boost/describe.hpp>

// How the ledger's values look in JSON.
namespace vmm::proofs {

BOOST_DESCRIBE_STRUCT(
    LedgerRecord,
    (),
    (seq,
     at,
     address,
     method,
     target,
     action,
     about,
     outcome,
     status,
     code,
     operation,
     request_id,
     peer,
     auth,
     message,
     digest,
     signature,
     session,
     capability,
     prev,
     hash)
)
BOOST_DESCRIBE_STRUCT(LedgerMark, (), (seq, hash))
BOOST_DESCRIBE_STRUCT(LedgerHead, (), (seq, hash, at, signer, signature))

struct BaseLine {
    LedgerMark base;
};
BOOST_DESCRIBE_STRUCT(BaseLine, (), (base))

struct HeadLine {
    LedgerHead head;
};
BOOST_DESCRIBE_STRUCT(HeadLine, (), (head))

}  // namespace vmm::proofs
