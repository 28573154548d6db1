#!/usr/bin/env bash
# Makes the image that stands in for a registry's: Debian from this machine's own apt sources. Argument: its name.
set -euo pipefail
suite=bookworm
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

# apt does not print which key signs a source
key=/usr/share/keyrings/debian-archive-keyring.gpg
apt-get indextargets 'Identifier: Packages' --format "deb [signed-by=$key] \$(REPO_URI) \$(RELEASE) \$(COMPONENT)" |
  grep -E " $suite(-updates|-security)? main\$" | sort -u >"$work/base.list"
# as in Debian's own image: a package that is installed need not be on the disk before the next one
options=(--dpkgopt=force-unsafe-io)
for kind in http https; do
  proxy=$(apt-config dump --format '%v%n' "Acquire::$kind::Proxy" | head -1)
  [ -z "$proxy" ] || options+=(--aptopt="Acquire::$kind::Proxy \"$proxy\"")
done
mmdebstrap --quiet --variant=minbase --include=ca-certificates "${options[@]}" \
  "$suite" "$work/base.tar" "$work/base.list"
podman import --quiet --change 'CMD ["/bin/bash"]' "$work/base.tar" "$1"
