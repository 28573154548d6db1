"""How the process ended, for whoever supervises it."""

EXIT_OK = 0
EXIT_ENGINE_DIED = 70
"""EX_SOFTWARE of sysexits.h: a supervisor should start the process again."""
EXIT_NOT_NOW = 75
"""EX_TEMPFAIL of sysexits.h: it could not start, and may be able to a little later; start it again."""
EXIT_CANNOT_START = 78
"""EX_CONFIG of sysexits.h: starting again will not help before something is changed."""
