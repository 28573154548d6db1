"""A bundle beside its checkpoint in fp32, layer by layer: how far each layer's output has drifted away.

Both see the same drawings and questions. Drift adds up: what a layer shows is its own and that of all before it.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from edgevlm_engines import IMAGE_TOKEN, Manifest, open_bundle
from edgevlm_engines.bundle import DECODER, EMBEDDING, TOKENIZER, VISION
from edgevlm_export.checkpoint.checkpoint import files_digest, open_checkpoint
from edgevlm_export.exporter import export_bundle
from edgevlm_server.text.prompt import Mark, Turn, encode_conversation
from edgevlm_server.text.tokenizer import Tokenizer
from numpy.typing import NDArray

from edgevlm.cli import CommandError
from edgevlm.progress import Bar

PICTURES = 4
LOGITS = "logits"
FEATURES = "features"

Array = NDArray[Any]


class Layer(NamedTuple):
    """Over all questions: `error` is the length of the difference, as a part of the reference's length."""

    name: str
    error: float
    cosine: float


def verify(bundle: Path, checkpoint: Path, vision_tower: Path | None, pictures: int = PICTURES) -> list[Layer]:
    """Every layer of vision encoder and decoder, features and logits, in their order.

    Raises `CommandError` for a bundle of another checkpoint, or for TensorRT; `ExportError`, `BundleError`.
    """
    manifest = open_bundle(bundle).manifest
    _check(manifest, bundle, checkpoint)
    with tempfile.TemporaryDirectory(dir=bundle.absolute().parent) as folder:
        reference = Path(folder) / "fp32"
        export_bundle(checkpoint, reference, vision_tower=vision_tower, progress=Bar("Exporting in fp32"))
        cases = list(_cases(manifest, bundle, pictures))
        expected = list(_outputs(reference, Path(folder), manifest, cases))
    with tempfile.TemporaryDirectory(dir=bundle.absolute().parent) as folder:
        found = list(_outputs(bundle, Path(folder), manifest, cases))
    return [
        _compared(name, [one[name] for one in expected], [other[name] for other in found]) for name in expected[0]
    ]


def _check(manifest: Manifest, bundle: Path, checkpoint: Path) -> None:
    if manifest.flavour != "ort":
        raise CommandError(
            f"{bundle} runs only on TensorRT; export the checkpoint for cpu in the same precisions, and verify that."
        )
    if files_digest(open_checkpoint(checkpoint).files) != manifest.sources[0].sha256:
        raise CommandError(f"{bundle} was not made from {checkpoint}: the digest in its manifest is another.")


def _cases(manifest: Manifest, bundle: Path, pictures: int) -> Iterator[tuple[Array, Array]]:
    """Pixels `[1, 3, size, size]` and token ids `[n]` of drawings, each with its first question."""
    from edgevlm_demo.scenes import FIRST_EVALUATION_SEED, SCENES, draw_scene
    from edgevlm_server.images.decode.preprocess import preprocess

    tokenizer = Tokenizer(bundle / TOKENIZER)
    for number in range(pictures):
        scene = draw_scene(SCENES[number % len(SCENES)], FIRST_EVALUATION_SEED + number)
        turns = [Turn("user", (Mark.IMAGE, scene.questions[0].text))]
        tokens = encode_conversation(tokenizer, manifest.prompt, manifest.vision.image_tokens, turns)
        yield preprocess(scene.image, manifest.preprocessing)[np.newaxis], np.array(tokens, np.int64)


def _outputs(
    bundle: Path, scratch: Path, manifest: Manifest, cases: list[tuple[Array, Array]]
) -> Iterator[dict[str, Array]]:
    """Of each case, every layer's output by its name; one graph of the two is loaded at a time."""
    vision = _Probe(bundle, scratch, VISION, FEATURES)
    seen = [vision.run({"pixels": pixels}) for pixels, _ in cases]
    del vision
    decoder = _Probe(bundle, scratch, DECODER, LOGITS)
    embedding = np.load(bundle / EMBEDDING, mmap_mode="r", allow_pickle=False)
    for (_, tokens), outputs in zip(cases, seen, strict=True):
        hidden = embedding[np.maximum(tokens, 0)].astype(np.float32)
        hidden[tokens == IMAGE_TOKEN] = outputs[FEATURES][0]
        yield {**outputs, **decoder.run(_decoder_inputs(manifest, hidden))}


def _decoder_inputs(manifest: Manifest, hidden: Array) -> dict[str, Array]:
    """A whole prompt at once, `[n, hidden_size]`, in front of an empty cache."""
    shape, length = manifest.decoder, len(hidden)
    empty = np.zeros((1, shape.kv_heads, length, shape.head_dim), np.float32)
    cache = {f"past_{side}.{layer}": empty for side in ("key", "value") for layer in range(shape.layers)}
    counts = {"last_position": np.array([length - 1], np.int32), "total_length": np.array(length, np.int32)}
    return {"hidden": hidden[np.newaxis], **counts, **cache}


class _Probe:
    """A graph on the CPU whose layers' outputs are outputs of its own; its weights are linked to, not copied."""

    def __init__(self, bundle: Path, scratch: Path, name: str, output: str) -> None:
        import onnx
        import onnxruntime

        model = onnx.load(bundle / name, load_external_data=False)
        self._names = {**_layers(name, model.graph), output: output}
        for value in self._names.values():
            if value != output:
                model.graph.output.append(onnx.ValueInfoProto(name=value))
        weights = Path(name).with_suffix(".data")
        linked = scratch / weights
        linked.hardlink_to((bundle / weights).resolve())
        onnx.save(model, scratch / name)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(scratch / name, options, providers=["CPUExecutionProvider"])
        self._half = {one.name for one in self._session.get_inputs() if one.type == "tensor(float16)"}

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """By the layers' names, in float32."""
        given = {name: value.astype(np.float16) if name in self._half else value for name, value in inputs.items()}
        values = self._session.run(list(self._names.values()), given)
        return {name: value.astype(np.float32) for name, value in zip(self._names, values, strict=True)}


def _layers(graph_name: str, graph: Any) -> dict[str, str]:
    """Name of each layer, and of the value it ends with: that of the last node in its scope."""
    part, found = Path(graph_name).stem, {}
    for node in graph.node:
        layer = next((scope for scope in node.name.split("/")[:-1] if scope.startswith("layer")), None)
        if layer is not None:
            found[f"{part} layer {layer.removeprefix('layer')}"] = node.output[-1]
    return found


def _compared(name: str, expected: list[Array], found: list[Array]) -> Layer:
    one, other = (np.concatenate([array.ravel() for array in arrays]) for arrays in (expected, found))
    length = float(np.linalg.norm(one))
    cosine = float(one @ other) / (length * float(np.linalg.norm(other)))
    return Layer(name, float(np.linalg.norm(other - one)) / length, cosine)
