#include "vmm/base/text.h"

#include <archive.h>
#include <archive_entry.h>
#include <yaml.h>

#include <algorithm>
#include <memory>

#include "parts.h"

namespace vmm::seed {
namespace {

constexpr std::size_t most_user_data = 64 << 10;

struct FreeArchive {
    void operator()(archive* reader) const { archive_read_free(reader); }
};

// Where the reader was, and where what it was reading had begun.
std::string yaml_problem(const yaml_parser_t& parser) {
    const auto at = [](const yaml_mark_t& mark) {
        return "line " + std::to_string(mark.line + 1) + ", column " + std::to_string(mark.column + 1) + ": ";
    };
    const std::string problem = parser.problem == nullptr ? "cannot be read" : parser.problem;
    return parser.context == nullptr
               ? at(parser.problem_mark) + problem
               : at(parser.context_mark) + parser.context + ", " + at(parser.problem_mark) + problem;
}

std::unexpected<Error> bad_context(std::string message) {
    return invalid("context", std::move(message));
}

}  // namespace

Result<void> check_user_data(std::string_view text) {
    if (text.size() > most_user_data) {
        return invalid(
            "user_data",
            "user data has at most " + std::to_string(most_user_data) + " bytes, found " +
                std::to_string(text.size())
        );
    }
    if (text.contains('\0') || text.contains("==vmm-service-part==")) {
        return invalid("user_data", "user data is text");
    }
    if (!text.starts_with("#cloud-config")) {
        const bool known = text.empty() || text.starts_with("#!") || text.starts_with("#include") ||
                           text.starts_with("#cloud-boothook");
        return known ? Result<void>{}
                     : invalid(
                           "user_data",
                           "expected the first line to be #cloud-config, #!INTERPRETER, #include or "
                           "#cloud-boothook"
                       );
    }
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0) {
        return fail(Code::internal, "the YAML parser cannot be made");
    }
    yaml_parser_set_input_string(&parser, reinterpret_cast<const unsigned char*>(text.data()), text.size());
    Result<void> out;
    bool ended = false;
    int documents = 0;
    while (!ended) {
        yaml_event_t event;
        if (yaml_parser_parse(&parser, &event) == 0) {
            out = invalid("user_data", "no valid YAML: " + yaml_problem(parser));
            break;
        }
        ended = event.type == YAML_STREAM_END_EVENT;
        if (event.type == YAML_DOCUMENT_START_EVENT) {
            ++documents;
        }
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (out && documents > 1) {
        return invalid("user_data", "expected one YAML document, found " + std::to_string(documents));
    }
    return out;
}

Result<void> check_context(std::string_view archive_bytes) {
    const std::unique_ptr<archive, FreeArchive> reader{archive_read_new()};
    archive_read_support_format_tar(reader.get());
    if (archive_read_open_memory(reader.get(), archive_bytes.data(), archive_bytes.size()) != ARCHIVE_OK) {
        return bad_context("expected a tar archive without compression");
    }
    archive_entry* entry = nullptr;
    while (true) {
        const int outcome = archive_read_next_header(reader.get(), &entry);
        if (outcome == ARCHIVE_EOF) {
            return {};
        }
        if (outcome != ARCHIVE_OK) {
            return bad_context(
                "the tar archive cannot be read: " + quote(archive_error_string(reader.get()), 120)
            );
        }
        const char* name = archive_entry_pathname(entry);
        const std::string path = name == nullptr ? "" : name;
        const auto parts = split(path, '/');
        if (path.empty() || path.starts_with('/') || std::ranges::find(parts, "..") != parts.end()) {
            return bad_context(quote(path) + " is outside of the build context");
        }
        const auto type = archive_entry_filetype(entry);
        if (type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK) {
            return bad_context(quote(path) + " is neither a file nor a folder nor a link");
        }
    }
}

}  // namespace vmm::seed
