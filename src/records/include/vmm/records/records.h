#pragma once

#include "vmm/base/error.h"
#include "vmm/domain/account.h"
#include "vmm/domain/image.h"
#include "vmm/domain/operation.h"
#include "vmm/domain/session.h"
#include "vmm/domain/team.h"
#include "vmm/domain/vm.h"

#include <string>
#include <string_view>

// How domain values look in the state store: JSON with a schema version "v". A record with a newer version
// than this program knows is refused, never mangled; fields it does not know within a version are an error
// too.
namespace vmm::records {

inline constexpr int schema_version = 5;

std::string write(const domain::Vm& vm);
std::string write(const domain::Operation& operation);
std::string write(const domain::Account& account);
std::string write(const domain::Team& team);
std::string write(const domain::Member& member);
std::string write(const domain::Session& session);
std::string write(const domain::Revocation& revocation);
std::string write(const domain::Volume& volume);
std::string write(const domain::Image& image);
std::string write(const domain::Network& network);

// The answer that an Idempotency-Key is bound to. `status` is 0 until the operation has ended.
struct Remembered {
    std::string body_sha256;
    std::string operation;
    std::string target;
    int status = 0;
    std::string body;
    std::string etag;
};

std::string write(const Remembered& remembered);

// unavailable "record-newer" or "record-corrupt".
Result<domain::Vm> read_vm(std::string_view text);
Result<domain::Operation> read_operation(std::string_view text);
Result<domain::Volume> read_volume(std::string_view text);
Result<domain::Image> read_image(std::string_view text);
Result<domain::Network> read_network(std::string_view text);
Result<domain::Account> read_account(std::string_view text);
Result<domain::Team> read_team(std::string_view text);
Result<domain::Member> read_member(std::string_view text);
Result<domain::Session> read_session(std::string_view text);
Result<domain::Revocation> read_revocation(std::string_view text);
Result<Remembered> read_remembered(std::string_view text);

}  // namespace vmm::records
