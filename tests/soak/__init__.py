"""Hours of mixed use in minutes: `make soak MINUTES=10`. Nothing may be lost, mixed up or left behind.

A process of its own serves the echo engine, which says back what it was asked, so that a mix-up shows. Clients send
streams and whole answers with pictures; every fifth leaves, every tenth sends what must be refused, and every few
seconds something goes wrong around them. At the end what the clients counted and what `/metrics` counts must agree to
the last request, and memory, descriptors and threads must be where they were after the start.
"""
