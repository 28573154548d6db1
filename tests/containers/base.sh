#!/usr/bin/env bash
# Makes the image that stands in for a registry's: Debian from this machine's own apt sources.
# Arguments: its name, and its architecture as Debian calls it, if not this machine's.
set -euo pipefail
suite=bookworm
architecture=${2:-$(dpkg --print-architecture)}
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

"$(dirname "$0")/../debian_sources" "$suite" >"$work/base.list"
# as in Debian's own image: a package that is installed need not be on the disk before the next one
options=(--dpkgopt=force-unsafe-io)
for kind in http https; do
  proxy=$(apt-config dump --format '%v%n' "Acquire::$kind::Proxy" | head -1)
  [ -z "$proxy" ] || options+=(--aptopt="Acquire::$kind::Proxy \"$proxy\"")
done
mmdebstrap --quiet --variant=minbase --architectures="$architecture" --include=ca-certificates "${options[@]}" \
  "$suite" "$work/base.tar" "$work/base.list"
podman import --quiet --arch="$architecture" --change 'CMD ["/bin/bash"]' "$work/base.tar" "$1"
