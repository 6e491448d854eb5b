#include "vmm/json/encode.h"

#include "row.h"

namespace vmm::records {
namespace {

// Facts are not stored here: they stand beside the content.
struct ImageRow {
    int v = schema_version;
    std::string id;
    std::string name;
    std::string owner;
    bool is_public = false;
    std::string status;
    std::string sha256;
    std::string content;
    std::string source;
    std::string source_place;
    std::string wanted_root;
    std::uint64_t total_bytes = 0;
    bool as_form = false;
    std::string wanted_version;
    std::int64_t created_at = 0;
    std::int64_t updated_at = 0;
    std::int64_t revision = 0;
    std::string operation;
};
BOOST_DESCRIBE_STRUCT(
    ImageRow,
    (),
    (v,
     id,
     name,
     owner,
     is_public,
     status,
     sha256,
     content,
     source,
     source_place,
     wanted_root,
     total_bytes,
     as_form,
     wanted_version,
     created_at,
     updated_at,
     revision,
     operation)
)

}  // namespace

std::string write(const domain::Image& image) {
    ImageRow row;
    row.id = image.id;
    row.name = image.name;
    row.owner = image.owner.text();
    row.is_public = image.is_public;
    row.status = name(image.status);
    row.sha256 = image.sha256;
    row.content = image.content;
    row.source = image.source;
    row.source_place = image.source_place;
    row.wanted_root = image.wanted_root;
    row.total_bytes = image.total_bytes;
    row.as_form = image.as_form;
    row.wanted_version = image.wanted_version;
    row.created_at = image.created_at.ms;
    row.updated_at = image.updated_at.ms;
    row.revision = image.revision;
    row.operation = image.operation;
    return json::encode(row);
}

Result<domain::Image> read_image(std::string_view text) {
    TRY(auto row, read_row<ImageRow>(text));
    const auto owner = domain::Address::from_stored(row.owner);
    const auto status = domain::image_status_named(row.status);
    if (!owner || !status) {
        return corrupt("its owner or status is not one");
    }
    domain::Image image;
    image.id = std::move(row.id);
    image.name = std::move(row.name);
    image.owner = *owner;
    image.is_public = row.is_public;
    image.status = *status;
    image.sha256 = std::move(row.sha256);
    image.content = std::move(row.content);
    image.source = std::move(row.source);
    image.source_place = std::move(row.source_place);
    image.wanted_root = std::move(row.wanted_root);
    image.total_bytes = row.total_bytes;
    image.as_form = row.as_form;
    image.wanted_version = std::move(row.wanted_version);
    image.created_at = {row.created_at};
    image.updated_at = {row.updated_at};
    image.revision = row.revision;
    image.operation = std::move(row.operation);
    return image;
}

}  // namespace vmm::records
