"""One signed file that carries a bundle to a machine without a network: its keys, its form, making and reading it."""
