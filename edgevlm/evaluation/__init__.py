"""Evaluations: of the demo model here, of published benchmarks in a folder of its own."""
