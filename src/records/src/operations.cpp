#include "vmm/json/decode.h"
#include "vmm/json/encode.h"
#include "vmm/records/records.h"

#include "row.h"

namespace vmm::records {
namespace {

using domain::Address;

struct ErrorRow {
    std::string code;
    std::string slug;
    std::string message;
    std::string field;
    std::string hint;
};
BOOST_DESCRIBE_STRUCT(ErrorRow, (), (code, slug, message, field, hint))

struct OperationRow {
    int v = schema_version;
    std::string id;
    std::string kind;
    std::string target;
    std::string status;
    int progress = 0;
    std::optional<ErrorRow> error;
    std::string requested_by;
    std::int64_t created_at = 0;
    std::int64_t updated_at = 0;
    std::int64_t timeout_s = 0;
    bool force = false;
    bool start = false;
    std::string source;
    std::string disk;
    std::uint32_t size_gib = 0;
    bool with_volumes = false;
    int attempts = 0;
    std::string idempotency_key;
};
BOOST_DESCRIBE_STRUCT(
    OperationRow,
    (),
    (v,
     id,
     kind,
     target,
     status,
     progress,
     error,
     requested_by,
     created_at,
     updated_at,
     timeout_s,
     force,
     start,
     source,
     disk,
     size_gib,
     with_volumes,
     attempts,
     idempotency_key)
)

struct RememberedRow {
    int v = schema_version;
    std::string body_sha256;
    std::string operation;
    std::string target;
    int status = 0;
    std::string body;
    std::string etag;
};
BOOST_DESCRIBE_STRUCT(RememberedRow, (), (v, body_sha256, operation, target, status, body, etag))

}  // namespace

std::string write(const domain::Operation& operation) {
    OperationRow row;
    row.id = operation.id;
    row.kind = name(operation.kind);
    row.target = operation.target;
    row.status = name(operation.status);
    row.progress = operation.progress;
    if (const auto& error = operation.error) {
        row.error = ErrorRow{
            std::string{name(error->code())},
            std::string{error->slug()},
            error->message(),
            error->field(),
            error->hint()
        };
    }
    row.requested_by = operation.requested_by.text();
    row.created_at = operation.created_at.ms;
    row.updated_at = operation.updated_at.ms;
    row.timeout_s = operation.timeout_s;
    row.force = operation.force;
    row.start = operation.start;
    row.source = operation.source;
    row.disk = operation.disk;
    row.size_gib = operation.size_gib;
    row.with_volumes = operation.with_volumes;
    row.attempts = operation.attempts;
    row.idempotency_key = operation.idempotency_key;
    return json::encode(row);
}

Result<domain::Operation> read_operation(std::string_view text) {
    TRY(auto row, read_row<OperationRow>(text));
    const auto kind = domain::job_named(row.kind);
    const auto status = domain::progress_named(row.status);
    const auto requester = Address::from_stored(row.requested_by);
    if (!kind || !status || !requester) {
        return corrupt("its kind, status or requester is not one");
    }
    domain::Operation operation;
    operation.id = std::move(row.id);
    operation.kind = *kind;
    operation.target = std::move(row.target);
    operation.status = *status;
    operation.progress = row.progress;
    if (row.error) {
        operation.error = Error{code_named(row.error->code), row.error->message}
                              .with_slug(row.error->slug)
                              .with_field(row.error->field)
                              .with_hint(row.error->hint);
    }
    operation.requested_by = *requester;
    operation.created_at = {row.created_at};
    operation.updated_at = {row.updated_at};
    operation.timeout_s = row.timeout_s;
    operation.force = row.force;
    operation.start = row.start;
    operation.source = std::move(row.source);
    operation.disk = std::move(row.disk);
    operation.size_gib = row.size_gib;
    operation.with_volumes = row.with_volumes;
    operation.attempts = row.attempts;
    operation.idempotency_key = std::move(row.idempotency_key);
    return operation;
}

std::string write(const Remembered& remembered) {
    return json::encode(RememberedRow{
        schema_version,
        remembered.body_sha256,
        remembered.operation,
        remembered.target,
        remembered.status,
        remembered.body,
        remembered.etag,
    });
}

Result<Remembered> read_remembered(std::string_view text) {
    TRY(auto row, read_row<RememberedRow>(text));
    return Remembered{
        std::move(row.body_sha256),
        std::move(row.operation),
        std::move(row.target),
        row.status,
        std::move(row.body),
        std::move(row.etag),
    };
}

}  // namespace vmm::records
