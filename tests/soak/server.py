"""`python -m tests.soak.server SERVE_ARGUMENT...`: the product's `serve` on an echo engine that takes time.

`SOAK_LEAK` is the control: so many bytes of each prompt are never given back, and the soak must notice.
"""

import os
import sys
import time

from edgevlm_engines import Floats, Tokens, loading
from edgevlm_engines.echo import EchoEngine

from edgevlm.cli import main

LEAK = "SOAK_LEAK"
STEP_SECONDS = 0.001
"""Of one step: answers overlap, as they do on a device."""

_kept: list[bytes] = []


class Engine(EchoEngine):
    """The echo engine with time for its steps, and a leak where one is asked for."""

    leaked = int(os.environ.get(LEAK, "0"))

    def prefill(self, slot: int, start: int, tokens: Tokens, features: Floats) -> Floats:
        if self.leaked:
            _kept.append(os.urandom(self.leaked))
        return super().prefill(slot, start, tokens, features)

    def decode(self, tokens: Tokens, lengths: Tokens) -> Floats:
        time.sleep(STEP_SECONDS)
        return super().decode(tokens, lengths)


if __name__ == "__main__":
    # where the loader has it from
    vars(loading)["EchoEngine"] = Engine
    sys.exit(main(["serve", "--engine", "echo", *sys.argv[1:]]))
