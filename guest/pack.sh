#!/usr/bin/env bash
# Packs a kernel folder into a .form image, unless the image is newer: guest/pack.sh FOLDER OUTPUT VMCTL
set -euo pipefail
folder=$1 output=$2 vmctl=$3
if [ -e "$output" ] && [ "$output" -nt "$folder/vmlinux" ] && [ "$output" -nt "$folder/image.json" ]; then
    exit 0
fi
mkdir -p "$(dirname "$output")"
"$vmctl" image pack "$output" --name "$(basename "$folder")" --folder "$folder"
