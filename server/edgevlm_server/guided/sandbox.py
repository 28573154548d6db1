"""The process that tries a grammar: it may hang, grow or crash. Knows llguidance and its limits, no model.

Most of what can explode in a grammar does so while it is compiled, in code that cannot be interrupted, whatever the
vocabulary. So each grammar is first compiled here, where it can be killed, and how much it takes is measured.
"""

import re
import resource
import signal
import subprocess
import sys
from enum import Enum
from pathlib import Path

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

MAX_BYTES = 16 * 2**20
"""What one compiled grammar may take; usual ones take less than 3 MiB."""
LEAST_BYTES = 2**20
"""What one counts as at least."""
WALL = 10
"""So many times its processor time a trial may take on a machine that is busy."""

LIMITS = LLParserLimits(
    step_lexer_fuel=50_000,
    step_max_items=20_000,
    max_lexer_states=20_000,
    verbose_errors=False,
)
"""Of one step, on the thread that serves everyone: some milliseconds."""

_GOOD, _BAD = 0, 1
_PACKAGES = str(Path(__file__).resolve().parents[2])


ENDED_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT}
"""By a person, or by a system without memory: that says nothing of the grammar."""


class Failure(Enum):
    """Why a grammar cannot be used."""

    BAD = "it is invalid, contradicts itself or is too large"
    TOO_SLOW = "it takes too long"


def tried(grammar: str, seconds: float) -> int | Failure:
    """Bytes that a grammar takes once it is compiled, if that takes at most so much processor time.

    Blocks, `WALL` times as long at most; raises `OSError`.
    """
    # the process looks for modules where this one does, and not in the current folder
    path = [_PACKAGES, *sys.path]
    code = f"import sys; sys.path[:] = {path!r}; from edgevlm_server.guided.sandbox import main; main({seconds!r})"
    try:
        trial = subprocess.run(
            [sys.executable, "-c", code],
            input=grammar.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=WALL * seconds,
            # Ctrl-C of a terminal is for the server, which lets this end
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return Failure.TOO_SLOW
    if trial.returncode == _GOOD and trial.stdout.isdigit():
        return max(LEAST_BYTES, int(trial.stdout))
    if -trial.returncode in ENDED_FROM_OUTSIDE:
        raise OSError("its trial was ended from outside")
    return Failure.TOO_SLOW if trial.returncode == -signal.SIGPROF else Failure.BAD


def main(seconds: float) -> None:
    """Compile what stands on standard input; the exit status says whether it went well, a number how large it is."""
    grammar = sys.stdin.buffer.read().decode()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tokenizer = LLTokenizer(TokenizerWrapper(Bytes()))
    before = _own_bytes()
    if before is not None:  # on Linux; elsewhere a limit cannot be set or is not kept
        resource.setrlimit(resource.RLIMIT_DATA, (before + MAX_BYTES, before + MAX_BYTES))
    # the signal ends the process; should the parent be gone, too
    signal.setitimer(signal.ITIMER_PROF, seconds)
    matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=LIMITS)
    matcher.compute_bitmask()
    print((_own_bytes() or 0) - (before or 0), end="", flush=True)
    sys.exit(_BAD if matcher.is_error() else _GOOD)


def _own_bytes() -> int | None:
    """Memory of this process that it shares with no file, where the system says so."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    found = re.search(r"^VmData:\s*(\d+) kB$", status, re.MULTILINE)
    return 1024 * int(found[1]) if found else None


class Bytes:
    """The smallest vocabulary that can write everything: each byte is a token."""

    bos_token_id = eos_token_id = 256
    tokens = (*(bytes([byte]) for byte in range(256)), b"<end>")
    special_token_ids = (256,)

    def __call__(self, text: bytes) -> list[int]:
        return list(text)
