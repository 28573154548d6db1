"""The command line, and one call that answers: `edgevlm.ask`. It composes the rooms, and imports them late."""

from edgevlm.offline.one_call import ask

__all__ = ["ask"]
