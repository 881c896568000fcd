#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes the fixture of the format that the program writes: once for each released format, never again for an old one.
# usage: make_fixture.sh HOLDFAST FIXTURE.tar.xz
set -euo pipefail
holdfast=$(realpath "$1")
fixture=$(realpath -m "$2")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
tree="$place/tree"
mkdir -p "$tree/folder" "$tree/many"
printf tiny > "$tree/tiny"
: > "$tree/empty"
for number in $(seq 1 400); do printf '%s ' "$number" > "$tree/many/$number"; done
seq 1 20000 > "$tree/folder/text"
head -c 400000 /dev/urandom > "$tree/noise"
ln -s tiny "$tree/link"
ln "$tree/noise" "$tree/folder/second"
truncate -s 3M "$tree/sparse"
printf x >> "$tree/sparse"
export HOLDFAST_PASSWORD=witness HOLDFAST_REPOSITORY="$place/repository"
"$holdfast" init > /dev/null
"$holdfast" backup -n fixture "$tree" > /dev/null
printf changed > "$tree/tiny"
"$holdfast" backup -n fixture "$tree" > /dev/null
(cd "$place" && find tree -type f -print0 | sort -z | xargs -0 sha256sum > manifest)
tar -C "$place" --sort=name --owner=0 --group=0 -cJf "$fixture" repository manifest
