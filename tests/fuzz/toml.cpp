// The configuration file.
#include "vmm/daemon/config.h"

#include <unistd.h>

#include <cstdio>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    static const std::string file = "/tmp/vmm-fuzz-toml-" + std::to_string(::getpid());
    if (std::FILE* out = std::fopen(file.c_str(), "wb")) {
        (void)std::fwrite(data, 1, size, out);
        std::fclose(out);
    }
    auto config = vmm::daemon::Config::defaults();
    (void)vmm::daemon::read_file_into(config, file, "testing");
    ::unlink(file.c_str());
    return 0;
}
