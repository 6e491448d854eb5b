#include "receive.h"

#include "vmm/base/files.h"
#include "vmm/base/text.h"
#include "vmm/json/value.h"

#include <unistd.h>

namespace vmm::cli {

Task<std::string> receive_into(
    int file,
    std::uint64_t at,
    fetch::Url from,
    std::vector<std::pair<std::string, std::string>> headers,
    std::string ca_file,
    ProgressView progress
) {
    fetch::Rules rules;
    rules.ca_file = ca_file;
    CO_TRY(
        const auto answer,
        co_await fetch::Download::open(std::move(from), std::move(headers), std::move(rules))
    );
    if (answer->status() != 200 && answer->status() != 206) {
        std::string problem(4096, '\0');
        CO_TRY(const auto got, co_await answer->read(problem.data(), problem.size()));
        const auto body = json::parse(problem.substr(0, got));
        const auto code = answer->status() == 404   ? Code::not_found
                          : answer->status() == 403 ? Code::forbidden
                          : answer->status() == 401 ? Code::unauthenticated
                                                    : Code::conflict;
        co_return fail(Error{
            code,
            body ? std::string{body->text_or("detail", "")}
                 : "the service answered with status " + std::to_string(answer->status())
        });
    }
    at = answer->status() == 206 ? at : 0;
    if (const auto length = answer->headers().find("content-length"); length != answer->headers().end()) {
        progress->total = at + parse_number<std::uint64_t>(length->second).value_or(0);
    }
    std::string block(1 << 20, '\0');
    while (true) {
        CO_TRY(const auto got, co_await answer->read(block.data(), block.size()));
        if (got == 0) {
            break;
        }
        if (::pwrite(file, block.data(), got, static_cast<off_t>(at)) != static_cast<ssize_t>(got)) {
            co_return fail(os_error("writing what came"));
        }
        at += got;
        progress->done = at;
    }
    if (::ftruncate(file, static_cast<off_t>(at)) != 0) {
        co_return fail(os_error("writing what came"));
    }
    const auto etag = answer->headers().find("etag");
    co_return etag == answer->headers().end() ? std::string{}
                                              : std::string{etag->second.substr(1, etag->second.size() - 2)};
}

}  // namespace vmm::cli
