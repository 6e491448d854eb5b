#include "vmm/base/text.h"
#include "vmm/json/value.h"
#include "vmm/json/write.h"

#include <boost/json/basic_parser_impl.hpp>

#include <charconv>
#include <cmath>
#include <limits>
#include <unordered_set>

namespace vmm::json {
namespace {

namespace bj = boost::json;
using boost::system::error_code;

// Receives Boost.JSON's parse events and builds the value. Keeps the text of numbers, which the library's own
// value type would round.
class Builder {
public:
    static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
    static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
    static constexpr std::size_t max_key_size = std::numeric_limits<std::size_t>::max();
    static constexpr std::size_t max_string_size = std::numeric_limits<std::size_t>::max();

    bool on_document_begin(error_code&) { return true; }

    bool on_document_end(error_code&) { return true; }

    bool on_object_begin(error_code&) { return open(Value{Object{}}); }

    bool on_array_begin(error_code&) { return open(Value{List{}}); }

    bool on_object_end(std::size_t, error_code& ec) { return no_key_twice(ec) && close(); }

    bool on_array_end(std::size_t, error_code&) { return close(); }

    bool on_key_part(bj::string_view part, std::size_t, error_code&) { return gather(part); }

    bool on_key(bj::string_view part, std::size_t, error_code&) {
        gather(part);
        open_.back().key = std::exchange(text_, {});
        return true;
    }

    bool on_string_part(bj::string_view part, std::size_t, error_code&) { return gather(part); }

    bool on_string(bj::string_view part, std::size_t, error_code&) {
        gather(part);
        return put(Value{std::exchange(text_, {})});
    }

    bool on_number_part(bj::string_view part, error_code&) { return gather(part); }

    bool on_int64(std::int64_t, bj::string_view part, error_code& ec) { return number(part, ec); }

    bool on_uint64(std::uint64_t, bj::string_view part, error_code& ec) { return number(part, ec); }

    bool on_double(double, bj::string_view part, error_code& ec) { return number(part, ec); }

    bool on_bool(bool b, error_code&) { return put(Value{b}); }

    bool on_null(error_code&) { return put(Value{}); }

    bool on_comment_part(bj::string_view, error_code&) { return true; }

    bool on_comment(bj::string_view, error_code&) { return true; }

    [[nodiscard]] const std::string& twice() const { return twice_; }

    [[nodiscard]] bool out_of_range() const { return out_of_range_; }

    Value take() { return std::move(root_); }

private:
    struct Level {
        Value value;
        std::string key;
    };

    bool gather(bj::string_view part) {
        text_.append(part.data(), part.size());
        return true;
    }

    bool open(Value value) {
        open_.push_back({std::move(value), {}});
        return true;
    }

    bool close() {
        Value value = std::move(open_.back().value);
        open_.pop_back();
        return put(std::move(value));
    }

    bool put(Value value) {
        if (open_.empty()) {
            root_ = std::move(value);
        } else if (auto* list = open_.back().value.as<List>()) {
            list->push_back(std::move(value));
        } else {
            open_.back().value.as<Object>()->emplace_back(std::move(open_.back().key), std::move(value));
        }
        return true;
    }

    bool no_key_twice(error_code& ec) {
        const auto& object = *open_.back().value.as<Object>();
        std::unordered_set<std::string_view> seen;
        for (const auto& [key, value] : object) {
            if (!seen.insert(key).second) {
                twice_ = key;
                ec = bj::error::syntax;
                return false;
            }
        }
        return true;
    }

    bool number(bj::string_view part, error_code& ec) {
        gather(part);
        std::string text = std::exchange(text_, {});
        if (text.find_first_of(".eE") == std::string::npos) {
            return put(Value{Number{text == "-0" ? "0" : std::move(text), true}});
        }
        double parsed = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
        if (error == std::errc::result_out_of_range) {
            // Too small is zero, as in every language's reader; too large is no number.
            parsed = std::strtod(text.c_str(), nullptr);
        }
        if (!std::isfinite(parsed)) {
            out_of_range_ = true;
            ec = bj::error::syntax;
            return false;
        }
        return put(Value{Number{python_repr(parsed), false}});
    }

    std::vector<Level> open_;
    std::string text_;
    std::string twice_;
    bool out_of_range_ = false;
    Value root_;
};

}  // namespace

Result<Value> parse(std::string_view text) {
    bj::parse_options options;
    options.max_depth = max_depth;
    bj::basic_parser<Builder> parser{options};
    error_code ec;
    const std::size_t read = parser.write_some(false, text.data(), text.size(), ec);
    if (!ec && read < text.size()) {
        ec = bj::error::extra_data;
    }
    if (!ec) {
        return parser.handler().take();
    }
    if (!parser.handler().twice().empty() || ec == bj::error::syntax) {
        if (parser.handler().out_of_range()) {
            return fail(Code::malformed, "a number in the body is too large for a double");
        }
        if (!parser.handler().twice().empty()) {
            return fail(
                Code::malformed, "the key " + quote(parser.handler().twice()) + " stands twice in one object"
            );
        }
    }
    if (ec == bj::error::too_deep) {
        return fail(Code::malformed, "nested deeper than " + std::to_string(max_depth) + " levels");
    }
    return fail(Code::malformed, "not valid JSON at byte " + std::to_string(read) + ": " + ec.message());
}

}  // namespace vmm::json
