"""A checkpoint becomes a bundle: read, describe, write, vouch. Knows the order of work, no operators."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from edgevlm_engines.bundle import EMBEDDING, TOKENIZER
from edgevlm_engines.manifest import MOST_SLOTS, Manifest, faults
from edgevlm_engines.names import Device, Precision, VisionPrecision
from edgevlm_engines.regular_file import read_regular
from sentencepiece import SentencePieceProcessor

from edgevlm_export.bundle_writer import SHORT, Progress, check_room, file_table, new_folder, write_manifest
from edgevlm_export.calibrate.rescale import Scale, fold
from edgevlm_export.checkpoint.about import read_about
from edgevlm_export.checkpoint.checkpoint import LFS_POINTER, as_float16
from edgevlm_export.checkpoint.name import model_name
from edgevlm_export.errors import CheckpointError, ExportError
from edgevlm_export.graph.model import describe
from edgevlm_export.graph.precision import FLAVOURS, RUNS
from edgevlm_export.manifest_parts import decoder_part, preprocessing_part, prompt_part, vision_part
from edgevlm_export.model_source import Lora, ModelSource, open_model

_MAX_TOKENIZER_BYTES = 64 << 20  # LLaMA's has half a megabyte


def export_bundle(
    checkpoint: Path,
    bundle: Path,
    *,
    vision_tower: Path | None = None,
    lora: Sequence[Lora] = (),
    device: Device = "cpu",
    precision: Precision = "fp32",
    vision_precision: VisionPrecision = "fp32",
    kept: Sequence[str] = (),
    scales: Sequence[Scale] = (),
    about: Path | None = None,
    name: str | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Write the bundle of a published checkpoint to the folder `bundle`, which must not exist.

    `vision_tower` and `lora` are as for `open_model`, `kept` as for `describe`; `scales` are folded into the weights
    first. `about` is a file to read in place of the checkpoint's own `edgevlm.json`. `device` is recorded for whoever
    loads the bundle. The folder appears complete or not at all. Raises `ExportError`.
    """
    check_precisions(device, precision, vision_precision)
    report = progress or Progress()
    said = read_about(checkpoint, about)
    model = open_model(checkpoint, vision_tower, lora)
    config = model.config
    for scale in scales:
        fold(model, scale)
    graphs = describe(model, FLAVOURS[device], precision, vision_precision, kept)
    embedding = model.weights.take("model.embed_tokens.weight", (config.vocab_size, config.hidden_size))
    for source in model.checkpoints():
        source.finish()

    with new_folder(bundle) as folder:
        check_room(folder, graphs.weight_bytes() + as_float16(embedding).nbytes)
        report.start(graphs.weight_bytes() + model.size())
        _copy_tokenizer(checkpoint, folder, config.vocab_size)
        np.save(folder / EMBEDDING, as_float16(embedding), allow_pickle=False)
        graphs.save(folder, report)
        with faults(lambda fault: ExportError(f"No bundle can hold the model in {checkpoint}: {fault}.")):
            manifest = Manifest(
                model=name or model_name(checkpoint),
                family="mobilevlm_v2" if config.projector == "ldpnetv2" else "mobilevlm",
                flavour=FLAVOURS[device],
                device=device,
                precision=precision,
                vision_precision=vision_precision,
                max_slots=MOST_SLOTS,
                max_length=config.max_length,
                decoder=decoder_part(config),
                vision=vision_part(config),
                preprocessing=preprocessing_part(config, vision_tower),
                prompt=prompt_part(config, checkpoint),
                about=said,
                exporter=f"edgevlm {version('edgevlm')}",
                sources=model.digests(report.advance),
                files=file_table(folder),
            )
        write_manifest(folder, manifest)
    report.finish()
    return manifest


def export_encoder(model: ModelSource, path: Path, progress: Progress) -> None:
    """Write the vision encoder with its projector to `path`, in fp32 for ONNX Runtime. Raises `ExportError`."""
    graph = describe(model, "ort", "fp32", "fp32").vision
    check_room(path.parent, graph.weight_bytes())
    progress.start(graph.weight_bytes())
    try:
        graph.save(path, progress.advance)
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror or SHORT}.") from error
    progress.finish()


def check_precisions(device: Device, precision: Precision, vision_precision: VisionPrecision) -> None:
    """Raise `ExportError` for a bundle that the device could not run."""
    for part, chosen, allowed in zip(("", "vision "), (precision, vision_precision), RUNS[device], strict=True):
        if chosen not in allowed:
            raise ExportError(
                f"A bundle for {device} can have {part}precision {' or '.join(allowed)}, not {chosen}; nothing there "
                "runs the other."
            )


def _copy_tokenizer(checkpoint: Path, folder: Path, vocabulary: int) -> None:
    source = checkpoint / TOKENIZER
    if not source.is_file():
        raise CheckpointError(f"{source} is missing.")
    try:
        content = read_regular(source, _MAX_TOKENIZER_BYTES)
    except OSError as error:
        raise CheckpointError(f"{source} cannot be read: {error.strerror or error}.") from None
    if content.startswith(LFS_POINTER):
        raise CheckpointError(f"{source} is a Git LFS pointer, not the tokenizer; `git lfs pull` fetches it.")
    (folder / TOKENIZER).write_bytes(content)
    try:
        tokenizer = SentencePieceProcessor(model_proto=content)
        tokens = len([tokenizer.id_to_piece(token) for token in range(tokenizer.vocab_size())])
    except RuntimeError:
        raise CheckpointError(f"{source} is not a SentencePiece model.") from None
    except UnicodeDecodeError:
        raise CheckpointError(f"{source} has a token that is not UTF-8.") from None
    if tokens != vocabulary:
        raise CheckpointError(f"{source} has {tokens} tokens, but config.json says {vocabulary}.")
