"""The walls hold, and what a fresh interpreter loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.boundaries.walls import (
    ARROWS,
    ENTRY_POINTS,
    INSIDE,
    LIBRARIES,
    ROOT,
    Import,
    all_imports,
    breaches,
    circle,
    imports,
    modules,
    nodes,
)


def test_no_import_goes_through_a_wall() -> None:
    assert list(breaches(all_imports())) == []


@pytest.mark.slow
def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(all_imports()) == []


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("edgevlm_engines.echo", "edgevlm_server.errors"),
        ("edgevlm_server.model", "edgevlm_export.errors"),
        ("edgevlm_server.api.chat", "edgevlm_server.http.app"),
        ("edgevlm_server.api.chat", "edgevlm_server.images.intake"),
        ("edgevlm_server.runtime.batcher", "edgevlm_server.images.pipeline"),
        ("edgevlm_server.images.pipeline", "edgevlm_server.model"),
        ("edgevlm_server.images.formats.header", "edgevlm_server.images.decode.decoder"),
        ("edgevlm_server.images.decode.worker", "edgevlm_server.errors"),
        ("edgevlm_server.http.transport.envelope", "edgevlm_server.http.access.keys"),
        ("edgevlm_server.http.body.read", "edgevlm_server.http.routes"),
        ("edgevlm_server.observe.metrics", "edgevlm_server.service"),
        ("edgevlm_server.text.prompt", "edgevlm_server.errors"),
        ("edgevlm.served_model", "edgevlm.cli"),
        ("edgevlm_server.service", "fastapi"),
        ("edgevlm_server.api.fields", "starlette.requests"),
        ("edgevlm_server.runtime.scheduler", "threading"),
        ("edgevlm_export.exporter", "onnxruntime"),
        ("edgevlm.commands.evaluate", "edgevlm_training.model"),
        ("edgevlm_demo.evaluation", "torch"),
    ],
)
def test_an_import_through_a_wall_is_found(importer: str, imported: str) -> None:
    [line] = breaches([Import(importer, imported, 7)])
    assert f":7: imports {imported}: " in line


def test_a_circle_is_found() -> None:
    ways = [("edgevlm_engines.echo", "edgevlm_engines.engine"), ("edgevlm_engines.engine", "edgevlm_engines.echo")]
    assert len(circle([Import(*way, 1) for way in ways])) == 3
    assert circle([Import(*ways[0], 1)]) == []


def test_walls_are_stated_for_folders_that_exist() -> None:
    known = modules()
    for name in (*ARROWS, *INSIDE, *(target for targets in INSIDE.values() for target in targets)):
        assert name in known
    for homes in (*LIBRARIES.values(), *ENTRY_POINTS.values()):
        assert homes <= known.keys()
    assert ENTRY_POINTS.keys() <= known.keys()


def _nodes() -> list[tuple[str, Path, ast.AST]]:
    return [(name, path, node) for name, path in modules().items() for node in nodes(path)]


def test_server_uses_only_what_the_engines_export() -> None:
    for one in all_imports():
        if one.importer.startswith("edgevlm_server"):
            assert not one.imported.startswith("edgevlm_engines."), one


@pytest.mark.slow
def test_the_environment_is_read_for_options_alone() -> None:
    for name, path, node in _nodes():
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"):
            assert name == "edgevlm_server.options", path


@pytest.mark.slow
def test_only_the_service_runs_things_in_a_thread_of_the_loop() -> None:
    """It loads and closes: both block, and clients want to be told of it."""
    for name, path, node in _nodes():
        if isinstance(node, ast.Attribute) and node.attr in ("to_thread", "run_sync"):
            assert name == "edgevlm_server.service", path


def test_commands_and_benchmarks_share_one_http_client() -> None:
    commands = {name: path for name, path in modules().items() if name.startswith("edgevlm.")}
    benchmarks = {f"benchmarks.{path.stem}": path for path in (ROOT / "benchmarks").glob("*.py")}
    for name, path in (commands | benchmarks).items():
        for one in imports(name, path, {}):
            # a pull is the exception: it goes through the hub's own client, with its proxies, redirects and tokens
            if not name.startswith("edgevlm.hub."):
                assert not one.imported.startswith(("urllib.request", "http.", "httpx", "requests")), one


@pytest.mark.slow
def test_no_code_is_taken_from_data() -> None:
    """No eval, exec, pickle.load and their like anywhere in the product."""
    for _, path, node in _nodes():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec", "compile", "__import__"}, f"{path}:{node.lineno}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "absent"),
    [
        ("import edgevlm.cli", {"torch", "onnxruntime", "fastapi", "numpy", "onnx"}),
        ("import edgevlm.commands.serve, edgevlm.plans", {"torch", "onnxruntime", "onnx", "tensorrt", "cuda"}),
        ("import edgevlm_server.run", {"torch", "onnxruntime", "onnx", "tensorrt", "cuda"}),
        ("import edgevlm_export.exporter", {"torch", "onnxruntime", "fastapi"}),
        ("import edgevlm_demo", {"torch", "onnxruntime", "fastapi"}),
        ("import edgevlm_demo.scenes, edgevlm_demo.evaluation", {"torch", "onnxruntime"}),
        ("import edgevlm_engines", {"numpy", "pydantic"}),
        ("from edgevlm_engines import load_engine", {"torch", "onnxruntime", "fastapi", "onnx", "tensorrt", "cuda"}),
    ],
)
def test_heavy_libraries_are_imported_late(command: str, absent: set[str]) -> None:
    code = f"{command}\nimport sys\nprint(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not absent & set(loaded)
