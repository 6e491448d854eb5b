// What a machine's root disk costs: an overlay on an image, durable on return. bench_disk FOLDER IMAGE COUNT
// Prints the milliseconds that each took, one a line.
#include "vmm/base/ids.h"
#include "vmm/images/store.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fputs("usage: bench_disk FOLDER IMAGE COUNT\n", stderr);
        return 2;
    }
    vmm::images::Settings settings;
    settings.folder = argv[1];
    settings.owner = "bench";
    const auto disks = vmm::images::create_disk_store(settings);
    vmm::ports::Image image;
    image.disk = argv[2];
    image.disk_format = "qcow2";
    image.disk_bytes = 2ULL << 30;
    for (long i = std::strtol(argv[3], nullptr, 10); i > 0; --i) {
        const auto id = vmm::new_id("vm");
        const auto began = std::chrono::steady_clock::now();
        if (!disks->make_root(id, image, 10)) {
            return 1;
        }
        const auto took = std::chrono::steady_clock::now() - began;
        std::printf("%.4f\n", std::chrono::duration<double, std::milli>(took).count());
        (void)disks->remove(id);
    }
    return 0;
}
