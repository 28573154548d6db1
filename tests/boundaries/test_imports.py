"""The rooms' walls: who imports whom, and what a fresh interpreter loads. Fails on any other arrow."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {
    "edgevlm": ROOT / "edgevlm",
    "edgevlm_server": ROOT / "server/edgevlm_server",
    "edgevlm_engines": ROOT / "engines/edgevlm_engines",
    "edgevlm_export": ROOT / "export/edgevlm_export",
    "edgevlm_demo": ROOT / "demo/edgevlm_demo",
}
ARROWS = {
    "edgevlm": {"edgevlm_server", "edgevlm_engines", "edgevlm_export", "edgevlm_demo"},
    "edgevlm_export": {"edgevlm_engines"},
    "edgevlm_server": {"edgevlm_engines"},
    "edgevlm_engines": set(),
    # training makes its tokens and pixels with serving's own code
    "edgevlm_demo": {"edgevlm_server"},
}
HTTP = {
    *("answering.py", "app.py", "decisions.py", "disconnect.py", "docs_page.py", "generation_routes.py"),
    *("model_routes.py", "openapi.py", "page.py", "request_body.py", "served.py", "token_routes.py"),
}
ONLY_IN = {
    "torch": {"edgevlm_demo"},
    "fastapi": {"edgevlm_server"},
    "uvicorn": {"edgevlm_server"},
    "onnx": {"edgevlm_export", "edgevlm"},
    "onnx_ir": {"edgevlm_export"},
    "sentencepiece": {"edgevlm_server", "edgevlm_export", "edgevlm_demo"},
    "llguidance": {"edgevlm_server"},
    "tensorrt": {"edgevlm_engines", "edgevlm_export"},
    "cuda": {"edgevlm_engines"},
    "pillow_heif": {"edgevlm_server"},
    "pickle": set(),
}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it; relative imports stay inside their room."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def files(room: str) -> list[Path]:
    found = sorted(ROOMS[room].rglob("*.py"))
    assert found, f"{room} is empty"
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_along_the_arrows(room: str) -> None:
    for path in files(room):
        for module in imports(path):
            top = module.split(".")[0]
            if top in ROOMS and top != room:
                assert top in ARROWS[room], f"{path} imports {module}"


def test_server_uses_only_what_the_engines_export() -> None:
    for path in files("edgevlm_server"):
        for module in imports(path):
            assert not module.startswith("edgevlm_engines."), f"{path} imports {module}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_libraries_stay_in_their_rooms(library: str) -> None:
    for room in ROOMS:
        for path in files(room):
            if room not in ONLY_IN[library]:
                assert library not in {module.split(".")[0] for module in imports(path)}, path


def test_http_stays_in_the_http_files() -> None:
    for path in files("edgevlm_server"):
        tops = {module.split(".")[0] for module in imports(path)}
        assert path.name in HTTP or not tops & {"fastapi", "starlette"}, path


def test_onnxruntime_is_imported_by_its_engine_alone() -> None:
    for room in ("edgevlm_engines", "edgevlm_server", "edgevlm_export"):
        for path in files(room):
            tops = {module.split(".")[0] for module in imports(path)}
            assert path.name == "ort.py" or "onnxruntime" not in tops, path


def test_tensorrt_and_cuda_are_imported_by_the_files_named_after_them() -> None:
    for path in (*files("edgevlm_engines"), *files("edgevlm_export")):
        tops = {module.split(".")[0] for module in imports(path)}
        assert "tensorrt" not in tops or re.match(r"trt[._]", path.name), path
        assert "cuda" not in tops or path.name in ("cuda.py", "append.py"), path


def test_threads_belong_to_batcher_and_workers() -> None:
    """The evaluation's threads are clients, not parts of the server."""
    makers = {"threading", "concurrent.futures"}
    homes = {"batcher.py", "pictures.py", "image_decoder.py", "ort.py", "evaluate.py", "grammar_compiler.py"}
    for room in ROOMS:
        for path in files(room):
            assert path.name in homes or not makers & set(imports(path)), path
            # the service loads and closes in a thread: both block, and clients want to be told of it
            names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
            assert path.name == "service.py" or not names & {"to_thread", "run_sync"}, path


def test_the_environment_is_read_in_settings_alone() -> None:
    for room in ROOMS:
        for path in files(room):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"):
                    assert path.name == "settings.py", path


def test_no_code_is_taken_from_data() -> None:
    """No eval, exec, pickle.load and their like anywhere in the product."""
    forbidden = {"eval", "exec", "compile", "__import__"}
    for room in ROOMS:
        for path in files(room):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    assert node.func.id not in forbidden, f"{path}:{node.lineno}"


@pytest.mark.parametrize(
    ("command", "absent"),
    [
        ("import edgevlm.cli", {"torch", "onnxruntime", "fastapi", "numpy", "onnx"}),
        ("import edgevlm.commands.serve", {"torch", "onnxruntime", "onnx", "tensorrt", "cuda"}),
        ("import edgevlm_export.exporter", {"torch", "onnxruntime", "fastapi"}),
        ("import edgevlm_demo", {"torch", "onnxruntime", "fastapi"}),
        ("import edgevlm_demo.scenes, edgevlm_demo.evaluation", {"torch", "onnxruntime"}),
        ("import edgevlm_engines", {"torch", "onnxruntime", "fastapi", "onnx", "tensorrt", "cuda"}),
    ],
)
def test_heavy_libraries_are_imported_late(command: str, absent: set[str]) -> None:
    code = f"{command}\nimport sys\nprint(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not absent & set(loaded)
