#include "vmm/base/text.h"

#include <algorithm>

#include "parts.h"

namespace vmm::seed {
namespace {

using domain::BuildStep;

// Finds the medium, builds once, and reports at every boot. Works with busybox, too.
constexpr std::string_view report = R"sh(#!/bin/sh
# Of vmm-service: does what the machine's Formfile orders, once, and reports that the guest is ready, at every boot.
state=/var/lib/vmm-service
mkdir -p "$state/seed"
seed=$state/seed
device=
for candidate in /dev/disk/by-label/cidata /dev/disk/by-label/CIDATA /dev/sr0 /dev/sr1; do
    [ -b "$candidate" ] && mount -t iso9660 -o ro "$candidate" "$seed" 2>/dev/null && device=$candidate && break
done
per_boot=/var/lib/cloud/scripts/per-boot
if [ -d /var/lib/cloud ] && [ ! -e "$per_boot/vmm-service" ] && [ "$0" != "$per_boot/vmm-service" ]; then
    mkdir -p "$per_boot"
    cp "$0" "$per_boot/vmm-service"
    chmod 755 "$per_boot/vmm-service"
fi
failed=
if [ -e "$seed/vmm/build.sh" ] && [ ! -e "$state/built" ]; then
    if sh "$seed/vmm/build.sh" "$seed/vmm"; then
        : >"$state/built"
    else
        failed=$(cat "$state/step" 2>/dev/null)
    fi
fi
# The mesh comes up before the report, which says the address in it. What is on the disk is from the boot before, or of the
# machine that this one was cloned from: it counts only when there is no medium, after a reboot of the guest's own.
mesh=/etc/wireguard/formnet.conf
if command -v wg-quick >/dev/null 2>&1; then
    if [ -n "$device" ]; then
        wg-quick down formnet >/dev/null 2>&1
        rm -f "$mesh"
        if [ -e "$seed/vmm/formnet.conf" ]; then
            mkdir -p /etc/wireguard
            (umask 077 && cat "$seed/vmm/formnet.conf" >"$mesh")
        fi
    fi
    if [ -e "$mesh" ]; then
        wg-quick up formnet || echo "vmm-service: the guest cannot join the mesh"
    fi
fi
address=
if [ -e "$mesh" ] && ip link show formnet >/dev/null 2>&1; then
    address=$(sed -n 's|^Address = \([^/]*\)/.*|\1|p' "$mesh")
fi
url=http://169.254.169.254/vm/boot_complete
token=
if [ -e "$seed/vmm/report" ]; then
    { read -r url; read -r token; } <"$seed/vmm/report"
fi
[ -n "$device" ] && umount "$seed" 2>/dev/null
if [ -n "$failed" ]; then
    echo "vmm-service: the build failed at $failed"
    exit 1
fi
if [ -z "$url" ]; then
    exit 0
fi
body="{\"token\":\"$token\"${address:+,\"formnet_ip\":\"$address\"}}"
type=application/json
attempt=0
while [ "$attempt" -lt 60 ]; do
    if command -v curl >/dev/null 2>&1; then
        curl -sf -m 5 -H "Content-Type: $type" -d "$body" "$url" >/dev/null && exit 0
    elif command -v python3 >/dev/null 2>&1; then
        python3 -c 'import sys, urllib.request as r
r.urlopen(r.Request(sys.argv[1], sys.argv[2].encode(), {"Content-Type": "application/json"}), timeout=5)' "$url" "$body" 2>/dev/null && exit 0
    elif command -v nc >/dev/null 2>&1; then
        rest=${url#http://}
        host=${rest%%/*}
        port=${host#*:}
        [ "$port" = "$host" ] && port=80
        printf 'POST /%s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s' \
            "${rest#*/}" "$host" "$type" "${#body}" "$body" |
            timeout 5 nc "${host%:*}" "$port" | head -n 1 | grep -q ' 200 ' && exit 0
    else
        wget -q -T 5 -O /dev/null --header "Content-Type: $type" --post-data "$body" "$url" && exit 0
    fi
    attempt=$((attempt + 1))
    sleep 1
done
echo "vmm-service: nobody takes the report at $url"
exit 1
)sh";

constexpr std::string_view preamble = R"sh(#!/bin/sh
# Of vmm-service: what this machine's Formfile orders.
medium=$1
state=/var/lib/vmm-service
context=$state/context
export DEBIAN_FRONTEND=noninteractive
mkdir -p "$state"
step() { echo "$1" >"$state/step"; echo "vmm-service: $1"; }
)sh";

// In a unit file's quoted word: % and $ mean something there.
std::string unit_word(std::string_view word) {
    std::string out = "\"";
    for (const char c : word) {
        if (c == '"' || c == '\\') {
            out += '\\';
        } else if (c == '%' || c == '$') {
            out += c;
        }
        out += c;
    }
    return out + "\"";
}

// In a file of variables, as systemd and shells read it.
std::string environment_word(std::string_view word) {
    constexpr std::string_view escaped = "\"\\`$";
    std::string out = "\"";
    for (const char c : word) {
        if (escaped.contains(c)) {
            out += '\\';
        }
        out += c;
    }
    return out + "\"";
}

std::string title(const BuildStep& step, std::string_view what) {
    return "step " +
           shell_word(
               (step.line == 0 ? "" : "line " + std::to_string(step.line) + ": ") + std::string{what}
           ) +
           "\n";
}

std::string copy_step(const std::string& from, const std::string& to) {
    const auto source = "\"$context\"/" + shell_word(from);
    std::string out =
        "[ -e " + source + " ] || { echo 'vmm-service: the context has no such file'; exit 1; }\n";
    const auto target = shell_word(to);
    if (to.ends_with('/')) {
        out += "mkdir -p -- " + target + " || exit 1\n";
    } else {
        out += "mkdir -p -- \"$(dirname -- " + target + ")\" || exit 1\n";
    }
    // A folder's content goes into the target, as everywhere else with COPY.
    out += "if [ -d " + source + " ]; then mkdir -p -- " + target + " && cp -a -- " + source + "/. " +
           target + "/ || exit 1; else cp -a -- " + source + " " + target + " || exit 1; fi\n";
    return out;
}

std::string install_step(const std::vector<std::string>& packages) {
    std::string words;
    bool remote = false;
    for (const auto& package : packages) {
        const bool local = package.starts_with("./") || package.starts_with('/');
        remote |= !local;
        words += " " + (package.starts_with("./") ? "\"$context\"/" + shell_word(package.substr(2))
                                                  : shell_word(package));
    }
    // A list of packages is only fetched for what is not in the context.
    return std::string{remote ? "apt-get -q update || exit 1\n" : ""} +
           "apt-get -q -o Dpkg::Use-Pty=0 install -y --no-install-recommends --" + words + " || exit 1\n";
}

std::string env_step(const BuildStep& step) {
    const auto& key = step.words.at(0);
    const auto& value = step.words.at(1);
    const auto export_line = shell_word("export " + key + "=" + shell_word(value));
    const auto plain_line = shell_word(key + "=" + environment_word(value));
    switch (step.scope) {
        case BuildStep::Scope::system:
            return "mkdir -p /etc/profile.d\nprintf '%s\\n' " + export_line +
                   " >>/etc/profile.d/vmm-service.sh\nprintf '%s\\n' " + plain_line +
                   " >>\"$state/environment\"\nexport " + key + "=" + shell_word(value) + "\n";
        case BuildStep::Scope::user:
            return "home=$(getent passwd " + shell_word(step.who) +
                   " | cut -d: -f6)\n[ -n \"$home\" ] || { echo 'vmm-service: no such user'; exit 1; "
                   "}\nprintf '%s\\n' " +
                   export_line + " >>\"$home/.profile\"\n";
        case BuildStep::Scope::service:
            return "printf '%s\\n' " + plain_line + " >>/etc/" + shell_word(step.who + ".env") + "\n";
    }
    return {};
}

std::string entrypoint_step(const domain::Formfile& formfile) {
    std::string words;
    std::string unit_words;
    for (const auto& word : formfile.entrypoint) {
        words += " " + shell_word(word);
        unit_words += " " + unit_word(word);
    }
    std::string folder;
    for (const char c : formfile.workdir) {
        folder.append(c == '%' ? 2 : 1, c);
    }
    const std::string unit =
        "[Unit]\nDescription=The machine's ENTRYPOINT\n"
        "After=network-online.target\nWants=network-online.target\n\n"
        "[Service]\nEnvironmentFile=-/var/lib/vmm-service/environment\n"
        "EnvironmentFile=-/etc/form-app.env\nWorkingDirectory=" +
        folder + "\nRestart=always\nRestartSec=3\nExecStart=/usr/bin/env --" + unit_words +
        "\n\n[Install]\nWantedBy=multi-user.target\n";
    // Without systemd a loop looks after it.
    const std::string loop =
        "cd " + shell_word(formfile.workdir) +
        "\nset -a\n[ -e /var/lib/vmm-service/environment ] && . /var/lib/vmm-service/environment\n"
        "[ -e /etc/form-app.env ] && . /etc/form-app.env\nset +a\nwhile true; do\n" +
        words + "\nsleep 3\ndone\n";
    return "step ENTRYPOINT\nif command -v systemctl >/dev/null 2>&1; then\nprintf '%s' " + shell_word(unit) +
           " >/etc/systemd/system/form-app.service || exit 1\n"
           "systemctl daemon-reload && systemctl enable form-app.service && systemctl start --no-block "
           "form-app.service || exit 1\nelse\nprintf '%s' " +
           shell_word(loop) +
           " >\"$state/form-app\" || exit 1\n"
           "setsid sh \"$state/form-app\" >\"$state/form-app.log\" 2>&1 </dev/null &\nfi\n";
}

}  // namespace

std::string shell_word(std::string_view text) {
    std::string out = "'";
    for (const char c : text) {
        if (c == '\'') {
            out += "'\\''";
        } else {
            out += c;
        }
    }
    return out + "'";
}

std::string_view report_script() {
    return report;
}

std::string report_file(const ports::Seed& seed) {
    return seed.callback_url + "\n" + seed.token + "\n";
}

std::string build_script(const domain::Formfile& formfile, bool has_context) {
    std::string out{preamble};
    if (has_context) {
        out +=
            "step 'unpacking the build context'\nmkdir -p \"$context\" && tar -C \"$context\" -xf "
            "\"$medium/context.tar\" || exit 1\n";
    }
    const auto workdir = shell_word(formfile.workdir);
    out += "mkdir -p -- " + workdir + " && cd -- " + workdir + " || exit 1\n";
    if (has_context && !formfile.copies() && formfile.workdir != "/") {
        out += "step 'copying the build context'\ncp -a \"$context\"/. . || exit 1\n";
    }
    for (const auto& step : formfile.steps) {
        switch (step.kind) {
            case BuildStep::Kind::copy:
                out +=
                    title(step, "COPY " + step.words.at(0)) + copy_step(step.words.at(0), step.words.at(1));
                break;
            case BuildStep::Kind::install: out += title(step, "INSTALL") + install_step(step.words); break;
            case BuildStep::Kind::run:
                out += title(step, "RUN " + step.words.at(0)) + "sh -c " + shell_word(step.words.at(0)) +
                       " || exit 1\n";
                break;
            case BuildStep::Kind::env: out += title(step, "ENV " + step.words.at(0)) + env_step(step); break;
        }
    }
    if (!formfile.entrypoint.empty()) {
        out += entrypoint_step(formfile);
    }
    return out + "rm -rf \"$context\"\nstep done\n";
}

}  // namespace vmm::seed
