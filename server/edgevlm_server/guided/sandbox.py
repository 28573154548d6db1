"""The process that tries a grammar: it may hang, grow or crash. Knows llguidance and its limits, no model.

Most of what can explode in a grammar does so while it is compiled, in code that cannot be interrupted, whatever the
vocabulary. So each grammar is first compiled here, once, where it can be killed.
"""

import resource
import subprocess
import sys
from pathlib import Path

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

SECONDS = 3
MEMORY_BYTES = 2**30

LIMITS = LLParserLimits(
    step_lexer_fuel=50_000,
    step_max_items=20_000,
    max_lexer_states=20_000,
    verbose_errors=False,
)
"""Of one step, on the thread that serves everyone: some milliseconds."""

_GOOD, _BAD = 0, 1
_PACKAGES = str(Path(__file__).resolve().parents[2])


def compiles(grammar: str) -> bool:
    """Whether a grammar compiles within time and memory. Blocks, `SECONDS` at most; raises `OSError`."""
    # the process looks for modules where this one does, and not in the current folder
    path = [_PACKAGES, *sys.path]
    code = f"import sys; sys.path[:] = {path!r}; from edgevlm_server.guided.sandbox import main; main()"
    try:
        tried = subprocess.run(
            [sys.executable, "-c", code],
            input=grammar.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return False
    return tried.returncode == _GOOD


def main() -> None:
    """Compile what stands on standard input; the exit status says whether it went well."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # should the parent be gone, the process still ends
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS + 1, SECONDS + 1))
    if sys.platform == "linux":  # elsewhere it cannot be set or is not kept
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    matcher = LLMatcher(
        LLTokenizer(TokenizerWrapper(Bytes())), sys.stdin.buffer.read().decode(), log_level=0, limits=LIMITS
    )
    matcher.compute_bitmask()
    sys.exit(_BAD if matcher.is_error() else _GOOD)


class Bytes:
    """The smallest vocabulary that can write everything: each byte is a token."""

    bos_token_id = eos_token_id = 256
    tokens = (*(bytes([byte]) for byte in range(256)), b"<end>")
    special_token_ids = (256,)

    def __call__(self, text: bytes) -> list[int]:
        return list(text)
