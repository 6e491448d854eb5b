#include "vmm/domain/image.h"

#include <array>
#include <utility>

namespace vmm::domain {
namespace {

constexpr std::array<std::pair<ImageStatus, std::string_view>, 4> statuses{{
    {ImageStatus::uploading, "uploading"},
    {ImageStatus::importing, "importing"},
    {ImageStatus::ready, "ready"},
    {ImageStatus::refused, "refused"},
}};

constexpr std::array<std::pair<Trust, std::string_view>, 4> trusts{{
    {Trust::none, ""},
    {Trust::trusted, "trusted"},
    {Trust::unknown_publisher, "unknown-publisher"},
    {Trust::not_signed, "unsigned"},
}};

template <class Table, class Value>
std::string_view named(const Table& table, Value value) {
    for (const auto& [each, text] : table) {
        if (each == value) {
            return text;
        }
    }
    return {};
}

template <class Value, class Table>
std::optional<Value> valued(const Table& table, std::string_view name) {
    for (const auto& [each, text] : table) {
        if (text == name) {
            return each;
        }
    }
    return std::nullopt;
}

}  // namespace

std::string_view name(ImageStatus status) {
    return named(statuses, status);
}

std::string_view name(Trust trust) {
    return named(trusts, trust);
}

std::optional<ImageStatus> image_status_named(std::string_view name) {
    return valued<ImageStatus>(statuses, name);
}

std::optional<Trust> trust_named(std::string_view name) {
    return valued<Trust>(trusts, name);
}

bool may_see(const Caller& caller, const Image& image) {
    return image.is_public || may_remove(caller, image);
}

bool may_remove(const Caller& caller, const Image& image) {
    return caller.administrator || caller.address == image.owner;
}

}  // namespace vmm::domain
