#include "app.h"

int main(int argc, char** argv) {
    return vmm::cli::Vmctl{}.run(argc, argv);
}
