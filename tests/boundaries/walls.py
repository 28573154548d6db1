"""The walls, stated by folder: which folder may import which, and where a library may be imported.

`python -m tests.boundaries` prints every import that goes through a wall; the tests of this folder fail on one.
"""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

ROOMS = {
    "edgevlm": ROOT / "edgevlm",
    "edgevlm_server": ROOT / "server/edgevlm_server",
    "edgevlm_engines": ROOT / "engines/edgevlm_engines",
    "edgevlm_export": ROOT / "export/edgevlm_export",
    "edgevlm_demo": ROOT / "demo/edgevlm_demo",
    "edgevlm_training": ROOT / "demo/training/edgevlm_training",
}

NOT_INSTALLED = {"edgevlm_training"}
"""Rooms that run from a checkout alone."""

ARROWS: dict[str, set[str]] = {
    "edgevlm": {"edgevlm_server", "edgevlm_engines", "edgevlm_export", "edgevlm_demo"},
    "edgevlm_export": {"edgevlm_engines"},
    "edgevlm_server": {"edgevlm_engines"},
    "edgevlm_engines": set(),
    "edgevlm_demo": set(),
    # training makes its tokens and pixels with serving's own code
    "edgevlm_training": {"edgevlm_demo", "edgevlm_server"},
}
"""From room to room."""

INSIDE: dict[str, set[str]] = {
    # a room's own files on top see all of its folders, but for those that say otherwise here
    "edgevlm.commands": {
        *("edgevlm", "edgevlm.bench", "edgevlm.cache", "edgevlm.doctor", "edgevlm.evaluation", "edgevlm.hub"),
        *("edgevlm.accuracy", "edgevlm.evaluation.published", "edgevlm.offline", "edgevlm.pack"),
    },
    "edgevlm.accuracy": {"edgevlm"},
    "edgevlm.hub": {"edgevlm"},
    "edgevlm.offline": {"edgevlm"},
    "edgevlm.pack": {"edgevlm"},
    "edgevlm.bench": {"edgevlm"},
    "edgevlm.cache": {"edgevlm"},
    "edgevlm.evaluation": {"edgevlm"},
    "edgevlm.evaluation.published": {"edgevlm"},
    "edgevlm.doctor": {"edgevlm", "edgevlm.cache"},
    "edgevlm_engines.ort": {"edgevlm_engines", "edgevlm_engines.cuda"},
    "edgevlm_engines.trt": {"edgevlm_engines", "edgevlm_engines.cuda", "edgevlm_engines.plan_cache"},
    "edgevlm_engines.cuda": {"edgevlm_engines"},
    "edgevlm_engines.plan_cache": {"edgevlm_engines"},
    "edgevlm_export.calibrate": {"edgevlm_export", "edgevlm_export.checkpoint", "edgevlm_export.graph"},
    "edgevlm_export.checkpoint": {"edgevlm_export"},
    "edgevlm_export.graph": {
        *("edgevlm_export", "edgevlm_export.checkpoint", "edgevlm_export.graph.ort", "edgevlm_export.graph.trt"),
    },
    "edgevlm_export.graph.ort": {"edgevlm_export", "edgevlm_export.graph", "edgevlm_export.checkpoint"},
    "edgevlm_export.graph.trt": {"edgevlm_export", "edgevlm_export.graph", "edgevlm_export.checkpoint"},
    "edgevlm_export.lora": {"edgevlm_export", "edgevlm_export.checkpoint"},
    "edgevlm_export.trt": {"edgevlm_export"},
    "edgevlm_server.http": {
        *("edgevlm_server", "edgevlm_server.api", "edgevlm_server.runtime", "edgevlm_server.text"),
        *("edgevlm_server.http.access", "edgevlm_server.http.body", "edgevlm_server.http.transport"),
        *("edgevlm_server.device", "edgevlm_server.observe", "edgevlm_server.readings"),
        "edgevlm_server.filled",
    },
    "edgevlm_server.http.access": {
        *("edgevlm_server.errors", "edgevlm_server.request", "edgevlm_server.service", "edgevlm_server.settings"),
        *("edgevlm_server.http.transport", "edgevlm_server.observe", "edgevlm_server.reload"),
        "edgevlm_server.stations",
    },
    "edgevlm_server.http.body": {
        *("edgevlm_server.errors", "edgevlm_server.request", "edgevlm_server.api", "edgevlm_server.observe"),
        "edgevlm_server.runtime",
    },
    "edgevlm_server.http.transport": {
        *("edgevlm_server.errors", "edgevlm_server.settings", "edgevlm_server.observe"),
    },
    "edgevlm_server.api": {
        *("edgevlm_server", "edgevlm_server.guided", "edgevlm_server.runtime", "edgevlm_server.text"),
        *("edgevlm_server.filled", "edgevlm_server.images.region", "edgevlm_server.readings"),
        # what a state or an outcome can be
        "edgevlm_server.observe.labels",
    },
    "edgevlm_server.filled": {
        *("edgevlm_server", "edgevlm_server.guided", "edgevlm_server.readings", "edgevlm_server.runtime"),
    },
    "edgevlm_server.readings": {
        *("edgevlm_server", "edgevlm_server.guided", "edgevlm_server.runtime", "edgevlm_server.text"),
        *("edgevlm_server.images.region", "edgevlm_server.observe"),
    },
    "edgevlm_server.runtime": {
        *("edgevlm_server", "edgevlm_server.guided", "edgevlm_server.observe", "edgevlm_server.text"),
    },
    "edgevlm_server.guided": {"edgevlm_server", "edgevlm_server.text"},
    "edgevlm_server.images": {
        *("edgevlm_server.errors", "edgevlm_server.request", "edgevlm_server.fair_queue", "edgevlm_server.observe"),
        *("edgevlm_server.images.decode", "edgevlm_server.images.formats"),
    },
    "edgevlm_server.images.decode": {"edgevlm_server.images.formats", "edgevlm_server.images.region"},
    "edgevlm_server.images.formats": set(),
    "edgevlm_server.observe": {
        *(
            "edgevlm_server.device",
            "edgevlm_server.errors",
            "edgevlm_server.refusals",
            "edgevlm_server.settings",
            "edgevlm_server.version",
        ),
    },
    "edgevlm_server.device": set(),
    "edgevlm_server.audit": {"edgevlm_server.observe", "edgevlm_server.settings"},
    "edgevlm_server.text": set(),
    "edgevlm_demo.scenes": set(),
}
"""From folder to folder of a room, or to single files of it."""

LIBRARIES: dict[str, set[str]] = {
    "fastapi": {"edgevlm_server.http"},
    "starlette": {"edgevlm_server.http"},
    "uvicorn": {"edgevlm_server.http.transport"},
    "pydantic": {
        *("edgevlm_server.api", "edgevlm_server.http", "edgevlm_engines", "edgevlm.commands.doctor"),
    },
    "prometheus_client": {"edgevlm_server.observe"},
    "opentelemetry": {"edgevlm_server.observe.traces"},
    "pynvml": {"edgevlm_server.device.nvml"},
    "llguidance": {"edgevlm_server.guided"},
    "sentencepiece": {
        "edgevlm_server.text",
        "edgevlm_export.checkpoint",
        "edgevlm_export.exporter",
        "edgevlm_training",
    },
    # one benchmark's pictures are cut as upstream cuts them
    "PIL": {
        *("edgevlm_server.images.decode", "edgevlm_server.images.formats", "edgevlm_demo", "edgevlm_training"),
        "edgevlm.evaluation.published.sqa",
    },
    "pillow_heif": {"edgevlm_server.images.decode"},
    "onnxruntime": {"edgevlm_engines.ort", "edgevlm.accuracy.inner_values"},
    "tensorrt": {"edgevlm_engines.trt", "edgevlm_export.trt"},
    "tensorrt_rtx": {"edgevlm_engines.trt.kernel_cache"},
    "cuda": {"edgevlm_engines.cuda"},
    "onnx": {"edgevlm_export", "edgevlm.accuracy.inner_values"},
    "onnx_ir": {"edgevlm_export.graph", "edgevlm_export.exporter"},
    "huggingface_hub": {"edgevlm.hub"},
    "httpx": {"edgevlm.hub"},
    "cryptography": {"edgevlm.pack"},
    "torch": {"edgevlm_training"},
    "pickle": set(),
    # the evaluation's threads are clients, not parts of the server
    "threading": {
        *("edgevlm_server.runtime.batcher", "edgevlm_server.images.decode", "edgevlm_server.device"),
        *("edgevlm_server.audit", "edgevlm_server.observe.log_writer", "edgevlm_server.reload"),
    },
    "concurrent": {
        *("edgevlm_server.guided.compiler", "edgevlm_server.images.lookups", "edgevlm_server.images.pool"),
        "edgevlm_engines.ort",
        "edgevlm.evaluation.asking",
    },
}
"""Folders or files that may import a library."""

ENTRY_POINTS: dict[str, set[str]] = {"edgevlm.cli": {"edgevlm.__main__", "edgevlm.commands"}}
"""Folders or files that may import what starts everything else."""


class Import(NamedTuple):
    """`importer` and `imported` are modules; a package stands for its `__init__.py`."""

    importer: str
    imported: str
    line: int


def modules() -> dict[str, Path]:
    """Every module of the product."""
    found = {}
    for room, folder in ROOMS.items():
        for path in sorted(folder.rglob("*.py")):
            name = ".".join((room, *path.relative_to(folder).with_suffix("").parts))
            found[name.removesuffix(".__init__")] = path
    return found


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Of a file's syntax tree."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imports(module: str, path: Path, known: dict[str, Path]) -> Iterator[Import]:
    """Every module that a file imports, wherever in it."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide where an arrow points"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield Import(module, full if full in known else node.module, node.lineno)


def all_imports() -> list[Import]:
    """Of every module of the product."""
    known = modules()
    return [one for module, path in known.items() for one in imports(module, path, known)]


def breaches(found: list[Import]) -> Iterator[str]:
    """One line for each import that goes through a wall."""
    known = modules()
    for one in found:
        if (reason := _reason(one, known)) is not None:
            yield f"{known[one.importer].relative_to(ROOT)}:{one.line}: imports {one.imported}: {reason}"


def circle(found: list[Import]) -> list[str]:
    """Modules that import each other on a way round, the first one again at the end; empty if there is none."""
    known = modules()
    graph: dict[str, set[str]] = {}
    for one in found:
        if one.imported in known and one.imported != one.importer:
            graph.setdefault(one.importer, set()).add(one.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [str(name) for name in reversed(error.args[1])]
    return []


def _reason(one: Import, known: dict[str, Path]) -> str | None:
    """Why an import is not allowed; `None` if it is."""
    top = one.imported.split(".")[0]
    if top in LIBRARIES and not any(_within(one.importer, home) for home in LIBRARIES[top]):
        return f"{top} is imported in {', '.join(sorted(LIBRARIES[top])) or 'no room'} alone"
    starters = ENTRY_POINTS.get(one.imported)
    if starters is not None and not any(_within(one.importer, home) for home in starters):
        return f"{one.imported} is imported in {', '.join(sorted(starters))} alone"
    room = one.importer.split(".")[0]
    if top not in ROOMS:
        return None
    if top != room:
        return (
            None if top in ARROWS[room] else f"{room} may import {', '.join(sorted(ARROWS[room])) or 'no other room'}"
        )
    here, there = _folder(one.importer, known), _folder(one.imported, known)
    if here == there or here not in INSIDE or not INSIDE[here].isdisjoint((there, one.imported)):
        return None
    return f"{here} may import {', '.join(sorted(INSIDE[here])) or 'no other folder'}"


def _within(module: str, home: str) -> bool:
    return module == home or module.startswith(f"{home}.")


def _folder(module: str, known: dict[str, Path]) -> str:
    return module if known[module].name == "__init__.py" else module.rpartition(".")[0]
