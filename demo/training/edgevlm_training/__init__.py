"""Trains the demo model. Runs from a checkout alone: no part of it is in the installed package."""
