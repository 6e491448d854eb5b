#include "vmm/base/text.h"
#include "vmm/json/decode.h"
#include "vmm/json/encode.h"
#include "vmm/json/write.h"
#include "vmm/proofs/ledger_json.h"

#include <algorithm>

namespace vmm::proofs {

std::string write(const LedgerRecord& record) {
    return json::encode(record);
}

Result<LedgerRecord> read_ledger_record(std::string_view line) {
    TRY(const auto value, json::parse(line));
    return json::decode<LedgerRecord>(value);
}

std::string hash_of(const ports::Signatures& signatures, const LedgerRecord& record) {
    json::Object members;
    boost::mp11::mp_for_each<boost::describe::describe_members<LedgerRecord, boost::describe::mod_public>>(
        [&](auto member) {
            const auto& value = record.*member.pointer;
            if constexpr (std::integral<std::remove_cvref_t<decltype(value)>>) {
                members.emplace_back(member.name, json::Value::integer(value));
            } else if (std::string_view{member.name} != "hash") {
                members.emplace_back(member.name, json::Value{value});
            }
        }
    );
    return to_hex(signatures.sha256(json::canonical(json::Value{std::move(members)})));
}

std::string head_text(const LedgerHead& head) {
    return "vmm-service ledger: record " + std::to_string(head.seq) + " has the hash " + head.hash + " at " +
           head.at;
}

std::string write_base(const LedgerMark& base) {
    return json::encode(BaseLine{base});
}

std::string write_head(const LedgerHead& head) {
    return json::encode(HeadLine{head});
}

}  // namespace vmm::proofs
