"""A bundle whose digests are right, but whose parts do not fit, is refused in one sentence and never served."""

import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgevlm_engines import EngineError, Floats, Tokens, open_bundle, read_manifest
from edgevlm_engines.echo import EchoEngine, echo_info
from edgevlm_engines.names import EngineName
from edgevlm_server.exit_codes import EXIT_CANNOT_START
from edgevlm_server.model import load_model
from edgevlm_server.self_test import self_test
from edgevlm_server.settings import Settings
from numpy.typing import NDArray

from tests.commands.serve_process import serve, started
from tests.manifests import change, change_file, change_part


@pytest.fixture
def bundle(bundles: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(bundles("v2"), tmp_path / "bundle"))


def refusal(bundle: Path, engine: EngineName | None = None) -> str:
    with pytest.raises(EngineError) as refused:
        load_model(bundle, Settings(engine=engine, max_batch=2)).engine.close()
    sentence = str(refused.value)
    assert sentence.endswith(".") and "\n" not in sentence and "Traceback" not in sentence
    return sentence


@pytest.mark.parametrize(
    ("part", "fields", "sentence"),
    [
        ("decoder", {"layers": 3}, "past_key.2 is nothing, and tensor(float) [?, 4, ?, 16] is expected"),
        ("decoder", {"layers": 1}, "past_key.1 is tensor(float) [?, 4, ?, 16], and nothing is expected"),
        ("decoder", {"vocab_size": 401}, "has 400 tokens, the model 401"),
        ("decoder", {"hidden_size": 32, "heads": 2, "kv_heads": 2}, "float16 (400, 32) array"),
        ("decoder", {"head_dim": 8, "heads": 8}, "past_key.0 is"),
        ("decoder", {"kv_heads": 2}, "past_key.0 is"),
        ("vision", {"image_tokens": 100}, "features is tensor(float) [?, 144, 64]"),
        ("preprocessing", {"size": 224}, "pixels is tensor(float) [?, 3, 336, 336]"),
    ],
)
def test_graphs_of_another_shape_are_refused(
    bundle: Path, part: str, fields: dict[str, object], sentence: str
) -> None:
    change_part(bundle, part, **fields)
    assert sentence in refusal(bundle)


def test_a_graph_without_angles_for_all_positions_is_refused(bundle: Path) -> None:
    change(bundle, max_length=4096)
    assert "has no rotary angles for 4096 positions" in refusal(bundle)


def test_a_graph_in_another_precision_is_refused(bundle: Path) -> None:
    change(bundle, precision="fp16")
    assert "hidden is tensor(float) [?, ?, 64], and tensor(float16) [?, ?, 64] is expected" in refusal(bundle)


def test_exchanged_graphs_are_refused(bundle: Path) -> None:
    vision, decoder = ((bundle / name).read_bytes() for name in ("vision.onnx", "decoder.onnx"))
    change_file(bundle, "vision.onnx", decoder)
    change_file(bundle, "decoder.onnx", vision)
    assert "does not fit the manifest" in refusal(bundle)


@pytest.mark.parametrize("name", ["vision.onnx", "decoder.onnx"])
@pytest.mark.parametrize("kept", [0, 4000])
def test_a_graph_that_is_cut_off_is_refused(bundle: Path, name: str, kept: int) -> None:
    change_file(bundle, name, (bundle / name).read_bytes()[:kept])
    assert f"ONNX Runtime cannot load {bundle / name}" in refusal(bundle)


def saved(array: NDArray[Any], *, pickled: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=pickled)
    return file.getvalue()


def with_nan(rows: NDArray[np.float16]) -> bytes:
    rows[77, 3] = np.nan
    return saved(rows)


EMBEDDINGS: dict[str, Callable[[NDArray[np.float16]], bytes]] = {
    "fewer rows": lambda rows: saved(rows[:300]),
    "narrower": lambda rows: saved(rows[:, :32]),
    "float64": lambda rows: saved(rows.astype(np.float64)),
    "integers": lambda rows: saved(rows.astype(np.int16)),
    "other byte order": lambda rows: saved(rows.astype(">f2")),
    "columns first": lambda rows: saved(np.asfortranarray(rows)),
    "objects": lambda rows: saved(np.array([{}], object), pickled=True),
    "cut off": lambda rows: saved(rows)[:-10],
    "empty": lambda rows: b"",
    "a pickle": lambda rows: b"\x80\x04N.",
    "a zip": lambda rows: b"PK\x03\x04and no more",
    "not finite": with_nan,
}


@pytest.mark.parametrize("kind", EMBEDDINGS)
def test_an_embedding_that_is_not_the_models_is_refused(bundle: Path, kind: str) -> None:
    change_file(bundle, "embedding.npy", EMBEDDINGS[kind](np.load(bundle / "embedding.npy")))
    assert "embedding.npy" in refusal(bundle)


@pytest.mark.parametrize("engine", ["ort", "echo"])
def test_a_tokenizer_with_a_token_that_is_not_utf8_is_refused(bundle: Path, engine: EngineName) -> None:
    path = bundle / "tokenizer.model"
    change_file(bundle, path.name, without_utf8(path.read_bytes()))
    assert "neither a byte nor UTF-8" in refusal(bundle, engine)


def without_utf8(model: bytes) -> bytes:
    """A piece of a SentencePiece model is a field of text inside another, here the first with three letters."""
    return re.sub(rb"\x0a\x03[a-z]{3}", b"\x0a\x03\xff\xfe\xfd", model, count=1)


@pytest.mark.parametrize("name", ["vision.data", "decoder.data"])
def test_weights_that_are_not_finite_fail_the_test_at_start(bundle: Path, name: str) -> None:
    change_file(bundle, name, b"\xff" * (bundle / name).stat().st_size)
    assert "The model failed its test" in refusal(bundle)


class Faulty(EchoEngine):
    """Wrong in one of three calls: an engine for a test, not a model."""

    def __init__(self, bundle: Path, call: str, fault: Exception | None) -> None:
        super().__init__(echo_info(read_manifest(bundle), slots=1, max_length=600, chunk=64), end_token=2)
        self._call, self._fault = call, fault

    def _spoilt(self, call: str, values: Floats) -> Floats:
        if call == self._call:
            if self._fault is not None:
                raise self._fault
            values[..., -1] = np.inf
        return values

    def encode_images(self, pixels: Floats) -> Floats:
        assert np.ptp(pixels) > 1, "the picture is not blank"
        return self._spoilt("vision encoder", super().encode_images(pixels))

    def prefill(self, slot: int, start: int, tokens: Tokens, features: Floats) -> Floats:
        return self._spoilt("prefill", super().prefill(slot, start, tokens, features))

    def decode(self, tokens: Tokens, lengths: Tokens) -> Floats:
        return self._spoilt("decode", super().decode(tokens, lengths))


@pytest.mark.parametrize("call", ["vision encoder", "prefill", "decode"])
def test_every_call_is_tried_before_a_server_is_ready(
    bundles: Callable[[str], Path], call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundles("v2")
    self_test(Faulty(folder, "none", None), read_manifest(folder))
    with pytest.raises(EngineError, match=f"its {call} has values that are not finite"):
        self_test(Faulty(folder, call, None), read_manifest(folder))
    engine = Faulty(folder, call, RuntimeError("the runtime\nhas its reasons"))
    monkeypatch.setattr("edgevlm_server.model.load_engine", lambda *arguments, **options: engine)
    assert refusal(folder) == f"{folder} cannot be run: RuntimeError: the runtime has its reasons."


@pytest.fixture
def broken(bundle: Path) -> Iterator[Path]:
    change_part(bundle, "decoder", layers=3)
    assert open_bundle(bundle)
    yield bundle


@pytest.mark.slow
def test_the_process_ends_with_78_and_the_sentence(broken: Path) -> None:
    with started(serve(broken)) as server:
        assert server.wait() == EXIT_CANNOT_START
        assert server.log.count("past_key.2 is nothing") == 1
        assert "Traceback" not in server.log and "ready" not in server.log
