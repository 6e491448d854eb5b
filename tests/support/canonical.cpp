// Reads one JSON text a line and writes its canonical form, or "refused": the property test compares it with
// Python's.
#include "vmm/json/write.h"

#include <iostream>
#include <string>

int main() {
    std::ios::sync_with_stdio(false);
    for (std::string line; std::getline(std::cin, line);) {
        const auto value = vmm::json::parse(line);
        std::cout << (value ? vmm::json::canonical(*value) : std::string{"refused"}) << '\n';
    }
}
