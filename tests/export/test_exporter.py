"""From checkpoint to bundle: what comes out, and that nothing is left when something goes wrong."""

import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from edgevlm_engines import IMAGE_TOKEN, EngineLoadError, load_engine, open_bundle, read_manifest
from edgevlm_engines.names import Precision, VisionPrecision
from edgevlm_export.bundle_writer import Progress
from edgevlm_export.checkpoint.pickle_reader import read_torch_file
from edgevlm_export.errors import ExportError
from edgevlm_export.exporter import export_bundle
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings
from numpy.typing import NDArray
from safetensors.numpy import save_file
from sentencepiece import SentencePieceTrainer

from tests.conftest import GOLDEN
from tests.prefill import prefill

Tensors = dict[str, NDArray[Any]]
V2 = GOLDEN / "v2"


def rewritten(tmp_path: Path, change: Callable[[Tensors], None], case: Path = V2) -> Path:
    """The checkpoint of a case as safetensors, with changed tensors."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(case / "checkpoint", folder, ignore=shutil.ignore_patterns("*.bin"))
    stored = read_torch_file(case / "checkpoint" / "pytorch_model.bin")
    tensors: Tensors = {source.name: source.read().copy() for source in stored}
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_safetensors_give_the_same_bundle_as_a_pickle(tmp_path: Path, bundles: Callable[[str], Path]) -> None:
    checkpoint = rewritten(tmp_path, lambda tensors: None)
    files = export_bundle(checkpoint, tmp_path / "bundle", vision_tower=V2 / "clip").files
    assert files == read_manifest(bundles("v2")).files


def test_exporting_twice_gives_the_same_bytes(tmp_path: Path, bundles: Callable[[str], Path]) -> None:
    manifest = export_bundle(V2 / "checkpoint", tmp_path / "again", vision_tower=V2 / "clip", name="v2")
    assert manifest == read_manifest(bundles("v2"))


def test_the_manifest_describes_the_model(bundles: Callable[[str], Path]) -> None:
    v1, wide = read_manifest(bundles("v1")), read_manifest(bundles("v2-headdim80-bf16"))
    assert (v1.family, v1.vision.projector, len(v1.sources)) == ("mobilevlm", "ldpnet", 2)
    assert (wide.family, wide.decoder.head_dim, len(wide.sources)) == ("mobilevlm_v2", 80, 1)
    assert (wide.preprocessing.pad_colour, wide.vision.image_tokens) == ((122, 116, 104), 144)


def test_graphs_pass_onnx_own_checker(bundles: Callable[[str], Path], golden: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bundles(golden.name), tmp_path / "bundle"))
    for name in ("vision.onnx", "decoder.onnx"):
        model = onnx.load(folder / name, load_external_data=False)
        # ONNX Runtime keeps this operator in the standard domain, where the checker does not know it
        for node in model.graph.node:
            if node.op_type == "SimplifiedLayerNormalization":
                node.domain = "com.microsoft"
        onnx.save(model, folder / name)
        onnx.checker.check_model(folder / name)
        assert len({node.name for node in model.graph.node}) == len(model.graph.node)


def test_fp16_stays_near_upstreams_fp16(tmp_path: Path, golden: Path) -> None:
    """Rounded elsewhere than upstream, so compared with upstream's own distance between fp16 and fp32."""
    export_bundle(
        golden / "checkpoint", tmp_path / "b", vision_tower=golden / "clip", precision="fp16", vision_precision="fp16"
    )
    reference = np.load(golden / "ref.npz")
    engine = load_engine("ort", open_bundle(tmp_path / "b"), slots=1, max_length=400)
    features = engine.encode_images(reference["pixel_values"])
    ids = reference["input_ids"].ravel()
    at = int(np.flatnonzero(ids == IMAGE_TOKEN)[0])
    tokens = np.concatenate([ids[:at], np.full(144, IMAGE_TOKEN), ids[at + 1 :]])
    logits = prefill(engine, 0, tokens, features[0])
    allowed = 1.5 * np.abs(reference["logits_f16"] - reference["logits"]).max()
    assert np.abs(logits - reference["logits_f16"][0, -1]).max() <= allowed
    answer = [int(logits.argmax())]
    for step in range(15):
        logits = engine.decode(np.array(answer[-1:]), np.array([len(tokens) + step]))[0]
        answer.append(int(logits.argmax()))
    assert answer == reference["new_ids_f16"].ravel().tolist()
    engine.close()


def drop(tensors: Tensors) -> None:
    del tensors["model.layers.1.mlp.up_proj.weight"]


def add(tensors: Tensors) -> None:
    tensors["model.layers.0.self_attn.q_proj.lora_A.weight"] = np.zeros((2, 2), np.float32)


def misshape(tensors: Tensors) -> None:
    tensors["model.mm_projector.peg.peg.0.weight"] = np.zeros((64, 1, 5, 5), np.float32)


def overflow(tensors: Tensors) -> None:
    tensors["lm_head.weight"][3, 5] = 1e6


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (drop, r"'model\.layers\.1\.mlp\.up_proj\.weight' is missing"),
        (add, r"does not use: 'model\.layers\.0\.self_attn\.q_proj\.lora_A\.weight'"),
        (misshape, r"peg\.0\.weight' has shape \(64, 1, 5, 5\), but"),
        (overflow, r"lm_head\.weight"),
    ],
)
def test_wrong_weights_leave_nothing_behind(tmp_path: Path, change: Callable[[Tensors], None], sentence: str) -> None:
    checkpoint = rewritten(tmp_path, change)
    target = tmp_path / "out" / "bundle"
    with pytest.raises(ExportError, match=sentence):
        export_bundle(checkpoint, target, vision_tower=V2 / "clip")
    assert not target.parent.exists() or not list(target.parent.iterdir())


def test_a_missing_tokenizer_leaves_nothing_behind(tmp_path: Path) -> None:
    checkpoint = Path(shutil.copytree(V2 / "checkpoint", tmp_path / "checkpoint"))
    (checkpoint / "tokenizer.model").unlink()
    with pytest.raises(ExportError, match=r"tokenizer\.model is missing"):
        export_bundle(checkpoint, tmp_path / "out" / "bundle", vision_tower=V2 / "clip")
    assert not list((tmp_path / "out").iterdir())


def replaced_by_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda file: file.write_bytes(b"no tokenizer"), "is not a SentencePiece model"),
        (lambda file: file.write_bytes(b"version https://git-lfs.github.com/spec/v1"), "is a Git LFS pointer"),
        (replaced_by_a_pipe, r"tokenizer\.model is missing"),
        (lambda file: file.write_bytes(bytes(65 << 20)), r"tokenizer\.model cannot be read: it has more than"),
        (lambda file: train_tokenizer(file, 300), r"has 300 tokens, but config\.json says 400"),
    ],
)
def test_a_tokenizer_that_does_not_belong_to_the_model_is_refused(
    tmp_path: Path, make: Callable[[Path], object], sentence: str
) -> None:
    checkpoint = Path(shutil.copytree(V2 / "checkpoint", tmp_path / "checkpoint"))
    make(checkpoint / "tokenizer.model")
    with pytest.raises(ExportError, match=sentence):
        export_bundle(checkpoint, tmp_path / "out" / "bundle", vision_tower=V2 / "clip")
    assert not list((tmp_path / "out").iterdir())


def train_tokenizer(file: Path, size: int) -> None:
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(["a few words to train on", "and a few more of them"] * 9),
        model_writer=model,
        model_type="bpe",
        vocab_size=size,
        byte_fallback=True,
        minloglevel=2,
    )
    file.write_bytes(model.getvalue())


def test_an_existing_target_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "mine").write_text("mine")
    with pytest.raises(ExportError, match="already exists"):
        export_bundle(V2 / "checkpoint", tmp_path / "bundle", vision_tower=V2 / "clip")
    assert (tmp_path / "bundle" / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    ("precision", "vision", "named"),
    [("int8", "fp16", "can have precision fp16"), ("fp16", "int8", "vision precision")],
)
def test_what_the_device_cannot_run_is_not_exported(
    tmp_path: Path, precision: Precision, vision: VisionPrecision, named: str
) -> None:
    with pytest.raises(ExportError, match=named):
        export_bundle(
            V2 / "checkpoint",
            tmp_path / "bundle",
            vision_tower=V2 / "clip",
            device="cuda",
            precision=precision,
            vision_precision=vision,
        )
    assert not list(tmp_path.iterdir())


def test_the_device_is_recorded_and_decides_where_it_runs(tmp_path: Path) -> None:
    cuda = {"device": "cuda", "precision": "fp16", "vision_precision": "fp16"}
    export_bundle(V2 / "checkpoint", tmp_path / "bundle", vision_tower=V2 / "clip", **cuda)  # type: ignore[arg-type]
    assert read_manifest(tmp_path / "bundle").device == "cuda"
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(EngineLoadError, match="choose --provider cpu"):
            load_model(tmp_path / "bundle", Settings(max_batch=1))
    load_model(tmp_path / "bundle", Settings(max_batch=1, provider="cpu")).engine.close()


def test_v1_needs_its_vision_tower(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="folder of its CLIP vision tower"):
        export_bundle(GOLDEN / "v1" / "checkpoint", tmp_path / "bundle")


class FullDisk(Progress):
    """Stands in for a disk that fills up while the second graph is written."""

    def __init__(self) -> None:
        self.calls = 0

    def advance(self, count: int) -> None:
        self.calls += 1
        if self.calls == 30:
            raise OSError(28, "No space left on device")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="No space left on device"):
        export_bundle(V2 / "checkpoint", tmp_path / "out" / "b", vision_tower=V2 / "clip", progress=FullDisk())
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.slow
def test_a_killed_export_leaves_no_bundle(tmp_path: Path) -> None:
    """Killed at several moments, the target is either absent or whole."""
    for delay in (0.3, 0.6, 0.9, 1.2):
        target = tmp_path / f"bundle-{delay}"
        command: list[str | Path] = [sys.executable, "-m", "edgevlm", "export", V2 / "checkpoint", target]
        process = subprocess.Popen([*command, "--vision-tower", V2 / "clip"], stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.kill()
        process.wait()
        if target.exists():
            open_bundle(target)


SLOWLY = """
import sys, time
from edgevlm.cli import main
from edgevlm.progress import Bar

def slow(bar, count):
    print("half way", flush=True)
    time.sleep(30)

Bar.advance = slow
sys.exit(main(["export", *sys.argv[1:]]))
"""


@pytest.mark.slow
def test_a_terminated_export_leaves_nothing_at_all(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SLOWLY, str(V2 / "checkpoint"), str(tmp_path / "out" / "bundle")]
    with subprocess.Popen([*command, "--vision-tower", str(V2 / "clip")], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half way\n"
        assert [path.suffix for path in (tmp_path / "out").iterdir()] == [".partial"]
        process.terminate()
        assert process.wait(20) == 143
    assert not list((tmp_path / "out").iterdir())


def test_progress_reaches_its_total(tmp_path: Path) -> None:
    class Count(Progress):
        total = done = 0

        def start(self, total: int) -> None:
            self.total = total

        def advance(self, count: int) -> None:
            self.done += count

    count = Count()
    export_bundle(V2 / "checkpoint", tmp_path / "bundle", vision_tower=V2 / "clip", progress=count)
    # a few small tensors lie inside the graph files and are not counted as they are written
    assert 0.98 * count.total < count.done <= count.total


def test_the_manifest_is_readable_json(bundles: Callable[[str], Path]) -> None:
    manifest = json.loads((bundles("v2") / "manifest.json").read_text())
    assert manifest["decoder"]["heads"] == 4
