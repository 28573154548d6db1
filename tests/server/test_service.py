"""The server's state from loading to its end."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from edgevlm_engines import read_manifest
from edgevlm_server.model import Model
from edgevlm_server.observe.metrics import Metrics
from edgevlm_server.run import _load
from edgevlm_server.service import Service
from edgevlm_server.settings import Settings
from edgevlm_server.text.tokenizer import Tokenizer

from tests.server.engines import SlowEngine


class Closed(SlowEngine):
    """Knows whether it is."""

    closed = False

    def close(self) -> None:
        self.closed = True


def test_a_model_that_comes_when_the_end_has_begun_is_closed_and_not_promised(
    bundles: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = bundles("v2")
    engine = Closed(folder, slots=2)

    async def play() -> None:
        service = Service(Settings(), Metrics())
        assert await service.drain()
        model = Model(read_manifest(folder), Tokenizer(folder / "tokenizer.model"), engine)
        assert await _load(service, lambda: model, "http://somewhere") is None
        assert (service.state, service.model) == ("draining", None)

    with caplog.at_level(logging.INFO):
        asyncio.run(play())
    assert engine.closed
    assert "Ready" not in caplog.text
