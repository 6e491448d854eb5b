#pragma once

#include "vmm/ports/seeds.h"

#include <string>
#include <string_view>

namespace vmm::seed {

// cloud-init's three documents. Everything a user has said is JSON text in them, which is YAML too.
std::string meta_data(const ports::Seed& seed);
std::string user_data(const ports::Seed& seed);
std::string network_config(const ports::Seed& seed);

// The shell script that does in the guest what the Formfile orders. Every word of a user's is one quoted
// word.
std::string build_script(const domain::Formfile& formfile, bool has_context);
// The shell script that reports from the guest that it is ready; reads where and how from the medium.
std::string_view report_script();
// What it reads there.
std::string report_file(const ports::Seed& seed);

// WireGuard's configuration of the guest's end of the mesh: empty when the invitation has no such form.
std::string mesh_config(std::string_view invitation);

// One word for a POSIX shell.
std::string shell_word(std::string_view text);

// The platform's JSON form of a Formfile.
Result<domain::Formfile> read_json_formfile(std::string_view text);

// crypt(3) with SHA-512; what is hashed already stays as it is. invalid "formfile".
Result<std::string> hash_password(const std::string& password);

Result<void> check_user_data(std::string_view text);
Result<void> check_context(std::string_view archive);

// A file of the medium.
struct MediumFile {
    std::string path;
    std::string content;
    std::filesystem::path from;  // instead of the content
};

Result<void> write_medium(const std::vector<MediumFile>& files, const std::filesystem::path& to);

}  // namespace vmm::seed
