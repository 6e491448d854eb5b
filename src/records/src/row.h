#pragma once

#include "vmm/json/decode.h"
#include "vmm/records/records.h"

// Reading of one record of any kind.
namespace vmm::records {

inline std::unexpected<Error> corrupt(std::string_view why) {
    return fail(Error{
        Code::unavailable, "a record in the state store cannot be read: " + std::string{why}
    }.with_slug("record-corrupt"));
}

template <class Row>
Result<Row> read_row(std::string_view text) {
    const auto value = json::parse(text);
    if (!value) {
        return corrupt(value.error().message());
    }
    const auto* version = value->find("v");
    const auto* number = version == nullptr ? nullptr : version->as<json::Number>();
    const auto parsed = number == nullptr ? std::nullopt : parse_number<int>(number->text);
    if (!parsed) {
        return corrupt("it has no schema version");
    }
    if (*parsed > schema_version) {
        return fail(Error{
            Code::unavailable,
            "a record in the state store has schema version " + std::to_string(*parsed) +
                "; this program knows up to " + std::to_string(schema_version)
        }
                        .with_slug("record-newer")
                        .with_hint("run the newer vmm-service that wrote it"));
    }
    auto row = json::decode<Row>(*value);
    if (!row) {
        return corrupt(row.error().field() + ": " + row.error().message());
    }
    return row;
}

}  // namespace vmm::records
