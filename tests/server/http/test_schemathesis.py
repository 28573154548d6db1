"""The API tried by its own description: whatever fits it and whatever does not, no 5xx and nothing undocumented.

The tool runs as its users run it, against a server with keys on a real socket.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings

from tests.live import LiveServer

EXAMPLES = 20
"""Random requests a route, beside the description's examples and its systematic cases."""

SAME_BODIES = "/input_tokens$"
"""Routes that take what the generating routes take; trying it once is enough."""

NOT_SAID_BY_A_SCHEMA = "positive_data_acceptance"
"""That the last message is the user's, that a prompt fits into the context, or that a text is a picture."""


@pytest.mark.slow
def test_every_answer_is_documented(bundles: Callable[[str], Path], tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys", "tool")
    settings = Settings(engine="echo", max_length=300)
    server = LiveServer(lambda: load_model(bundles("v2"), settings), settings, KeyRing.load(tmp_path / "keys"))
    with server:
        command = [
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("run", f"{server.url}/openapi.json", "--header", f"Authorization: Bearer {key}"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES)),
            *("--generation-deterministic", "--no-shrink"),
            *("--checks", "all", "--exclude-checks", NOT_SAID_BY_A_SCHEMA, "--continue-on-failure"),
            *("--exclude-path-regex", SAME_BODIES),
            *("--request-timeout", "60", "--warnings", "off", "--no-color"),
        ]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout[-12_000:] + run.stderr
        assert server.metrics()["edgevlm_requests_received_total"] > 5 * EXAMPLES
        assert server.client.get("/health").status_code == 200
