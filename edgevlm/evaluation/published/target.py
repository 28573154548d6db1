"""Who answers a benchmark's questions: a server, or one of ours on a bundle. Knows no questions."""

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgevlm_engines.bundle import MANIFEST, file_digest

from edgevlm.http_client import Server
from edgevlm.own_server import own_server

Target = str | Path
"""A server's address, or a bundle's folder."""

_ADDRESS = re.compile(r".+://.*|[^/]+:\d+(/.*)?")
_DIGITS = 12


def server_or_model(text: str) -> Target:
    """What was meant by a word that may be either; a folder that exists is never taken for an address."""
    return text if _ADDRESS.fullmatch(text) and not Path(text).exists() else Path(text)


def bundle_of(model: Path | None) -> Path:
    """The bundle that is measured: the demo model's by default. Raises `EngineLoadError`."""
    from edgevlm_server.settings import from_arguments

    from edgevlm.conversion import Conversion
    from edgevlm.demo_bundle import demo_bundle
    from edgevlm.first_start import served_bundle

    if model is None:
        return demo_bundle()
    return served_bundle(model, from_arguments(argparse.Namespace(), names=("engine", "provider")), Conversion())


def file_name(target: Target) -> str:
    """For the answers: changes with the address, and with the bundle's name and content. Raises `BundleError`."""
    if isinstance(target, Path):
        name = f"{target.resolve().name}-{file_digest(target / MANIFEST)[:_DIGITS]}"
    else:
        name = target.partition("://")[2] or target
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)


@contextmanager
def server_of(target: Target, key: str | None) -> Iterator[Server]:
    """A server by its address, or one of ours for as long as it is asked."""
    if isinstance(target, str):
        yield Server.at(target, key)
        return
    with own_server(target) as url:
        yield Server.at(url)
