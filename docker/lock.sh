#!/usr/bin/env bash
# Writes the locks of the images' packages anew, with hashes. Run it to take newer releases, then build the images.
# With what traces need, since nothing can be installed in an image. Needs uv (pip install uv). Platforms are named after the C library of each base. The images for CPUs, x86-64 and arm64,
# share one lock: it fails if they would differ.
set -euo pipefail
cd "$(dirname "$0")/.."
locks=docker/locks

lock() {  # PYTHON PLATFORM FILE [ARGUMENT...]
  uv pip compile --quiet --no-config --no-header --no-annotate --upgrade --generate-hashes --only-binary :all: \
    --python-version "$1" --python-platform "$2" --output-file "$3" "${@:4}"
}

other=$(mktemp)
trap 'rm -f -- "$other"' EXIT
lock 3.11 x86_64-manylinux_2_36 "$locks/cpu.txt" --extra cpu --extra otel pyproject.toml
lock 3.11 aarch64-manylinux_2_36 "$other" --extra cpu --extra otel pyproject.toml
cmp "$locks/cpu.txt" "$other"
lock 3.10 aarch64-manylinux_2_35 "$locks/jetson-jp6.txt" --extra jetson --extra otel pyproject.toml
# the releases of the first: they install on both Pythons, and tests build this image on the older one
lock 3.12 aarch64-manylinux_2_39 "$locks/jetson-jp7.txt" --extra jetson --extra otel --constraints "$locks/cpu.txt" pyproject.toml
lock 3.10 aarch64-manylinux_2_28 "$locks/build.txt" - <<<'setuptools>=77'
