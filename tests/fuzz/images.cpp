// Images that anybody may bring: every reader of headers and tables, on bytes in memory.
#include "vmm/form/format.h"

#include "probe.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    const auto bytes = vmm::images::Bytes::of_text(text);
    const auto found = vmm::images::probe(bytes, 1ULL << 46);
    if (found) {
        (void)vmm::images::check_tables(bytes);
    }
    (void)vmm::images::read_vmdk_descriptor(text);
    (void)vmm::images::read_tar(bytes);
    const auto index = vmm::form::read_index(text);
    if (index) {
        (void)index->root();
        auto at = index->header.index_bytes();
        for (std::uint64_t chunk = 0; chunk < index->chunks.size() && at <= size; ++chunk) {
            const auto stored = index->chunks[chunk].stored;
            (void)vmm::form::expand(*index, chunk, text.substr(at, stored));
            at += stored;
        }
    }
    return 0;
}
