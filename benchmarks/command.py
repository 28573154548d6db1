"""How a benchmark's command ends: with its tables, or with one sentence and an exit code. Knows no measurements."""

import signal
import subprocess
import sys
from collections.abc import Callable

from edgevlm_engines import EngineError
from edgevlm_export.errors import ExportError

from benchmarks.measure import CommandFailed
from edgevlm.errors import CommandError
from edgevlm.http_client import ExchangeError


def run_command(work: Callable[[], None]) -> int:
    """Do the work; returns the exit code. SIGTERM ends it as Ctrl-C does, so that servers it started end too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        work()
    except (CommandError, CommandFailed, EngineError, ExchangeError, ExportError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        # the process has said why
        return error.returncode
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0
