#include <array>

#include "handlers.h"
#include "routes.h"

// The service itself and its operations.
namespace vmm::http {
namespace {

constexpr Access anyone = Access::anyone();
constexpr Access administrator = Access::administrator();
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
    Route{"GET", "/auth/nonce", anyone, show_nonce, "What a sign-in message (EIP-4361) needs", "", "Nonce"},
    Route{
        "POST",
        "/auth/login",
        anyone,
        login,
        "Open a session with a signed sign-in message",
        "Login",
        "LoggedIn"
    },
    Route{"POST", "/auth/logout", signer, logout, "End the session of this request", "Nothing", ""},
    Route{"GET", "/auth/whoami", signer, show_whoami, "Who you are, and what proves it", "", "Whoami"},
    Route{"GET", "/auth/sessions", signer, list_sessions, "Your sessions", "", "SessionList"},
    Route{"DELETE", "/auth/sessions", signer, end_session, "End all your sessions", "Nothing", ""},
    Route{
        "DELETE",
        "/auth/sessions/{session}",
        signer,
        end_session,
        "End one of your sessions",
        "Nothing",
        ""
    },
    Route{
        "POST",
        "/capabilities/revoke",
        signer,
        revoke_capability,
        "Call back a capability that you gave or passed on, or any on a machine of yours",
        "RevokeCapability",
        "Revocation"
    },
    Route{
        "GET",
        "/audit",
        signer,
        list_audit,
        "Your records in the ledger, newest first; everybody's for administrators",
        "",
        "AuditList"
    },
    Route{
        "GET",
        "/audit/head",
        signer,
        show_audit_head,
        "The ledger's end, signed by the service",
        "",
        "LedgerHead"
    },
    Route{
        "GET",
        "/audit/export",
        administrator,
        export_audit,
        "The whole ledger as JSON lines, for vmctl audit verify",
        "",
        "JsonLines"
    },
};

}  // namespace

std::span<const Route> system_routes() {
    return table;
}

}  // namespace vmm::http
