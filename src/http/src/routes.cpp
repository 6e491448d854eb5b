#include "routes.h"

#include <vector>

namespace vmm::http {

std::span<const Route> routes() {
    static const auto all = [] {
        std::vector<Route> table;
        for (const auto part :
             {machine_routes(),
              storage_routes(),
              network_routes(),
              guest_routes(),
              people_routes(),
              system_routes()}) {
            table.insert(table.end(), part.begin(), part.end());
        }
        return table;
    }();
    return all;
}

}  // namespace vmm::http
