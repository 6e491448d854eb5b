#include <array>

#include "handlers.h"
#include "routes.h"

// The service itself and its operations.
namespace vmm::http {
namespace {

constexpr Access anyone = Access::anyone();
constexpr Access signer = Access::signer();
constexpr Access on_operation = Access::on_operation();

constexpr std::array table{
    Route{"GET", "/health", anyone, show_health, "Whether the service can do its work", "", "Health"},
    Route{"GET", "/openapi.json", signer, show_openapi, "This document", "", "Document"},
    Route{
        "GET",
        "/operations",
        signer,
        list_operations,
        "Your operations of the last day, newest first",
        "",
        "OperationList"
    },
    Route{
        "GET",
        "/operations/{op}",
        on_operation,
        show_operation,
        "One operation; ?wait=SECONDS waits for its end",
        "",
        "Operation"
    },
};

}  // namespace

std::span<const Route> system_routes() {
    return table;
}

}  // namespace vmm::http
