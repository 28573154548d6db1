"""What edgevlm costs on a machine, beside what the machine can do and what llama.cpp takes. Not packaged."""
