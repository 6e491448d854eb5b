#pragma once

#include "probe.h"

// One reader for each format that probe() tells apart.
namespace vmm::images {

Result<Found> probe_qcow2(const Bytes& image);
Result<Found> probe_vmdk(const Bytes& image);

Result<void> check_qcow2_tables(const Bytes& image);
Result<void> check_vmdk_tables(const Bytes& image);

}  // namespace vmm::images
