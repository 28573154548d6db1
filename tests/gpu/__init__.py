"""Checks that need an NVIDIA GPU: `make gpu`, or `python -m tests.gpu`. The suite of `make test` leaves them out."""
