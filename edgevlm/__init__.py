"""The command line of edgevlm. Composes the rooms; none of them imports it."""
