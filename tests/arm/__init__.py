"""edgevlm on 64-bit Arm, as far as an x86-64 machine can tell: qemu runs the programs, on real aarch64 wheels."""
