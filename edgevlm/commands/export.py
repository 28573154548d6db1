"""`edgevlm export`: a checkpoint in the published layout becomes a bundle."""

import argparse
import math
import tempfile
from pathlib import Path
from typing import get_args

from edgevlm.cli import CommandError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from edgevlm_engines.names import Device

    parser.add_argument("checkpoint", type=Path, help="folder with config.json, weights and tokenizer.model")
    parser.add_argument("bundle", type=Path, help="folder to create; it must not exist yet")
    parser.add_argument(
        "--device",
        choices=get_args(Device),
        default="cpu",
        help="what will run it (default: cpu); sets the other defaults. jetpack6 means TensorRT 10.3, jetpack7 "
        "TensorRT 10.15 or later, rtx TensorRT-RTX on a PC with an NVIDIA GPU",
    )
    add_conversion(parser)
    parser.add_argument(
        "--report",
        action="store_true",
        help="compare the bundle with an fp32 one, token by token; needs disk space for that one beside the bundle, "
        "and ONNX Runtime to run both",
    )
    parser.add_argument("--name", help="model name that clients see (default: the name of the checkpoint folder)")
    parser.add_argument(
        "--if-absent",
        action="store_true",
        help="do nothing if the bundle already exists and is complete, whatever it was made from",
    )


def add_conversion(parser: argparse._ActionsContainer) -> None:
    """How a checkpoint is to be converted, for whatever device."""
    from edgevlm_engines.names import Precision, VisionPrecision

    parser.add_argument(
        "--vision-tower",
        type=Path,
        metavar="DIR",
        help="folder of the CLIP model; V1 needs its weights, V2 only its sizes if they differ from ViT-L/14-336",
    )
    parser.add_argument(
        "--lora",
        type=lora,
        action="append",
        default=[],
        metavar="DIR[:SCALE]",
        help="merge the LoRA adapter in this folder (PEFT's format, with upstream's non_lora_trainables.bin), times "
        "SCALE (default: 1); give it again for several",
    )
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        help="precision of the language model's matmuls (default: int8 for cpu, otherwise fp16); int4 has "
        "not been tried on TensorRT 10.3",
    )
    parser.add_argument(
        "--vision-precision",
        choices=get_args(VisionPrecision),
        help="precision of the vision encoder's matmuls (default: fp32 for cpu, otherwise fp16)",
    )


def lora(text: str) -> tuple[Path, float]:
    """An adapter's folder and its scale."""
    folder, colon, scale = text.rpartition(":")
    if not colon or Path(text).is_dir():
        return Path(text), 1.0
    try:
        factor = float(scale)
    except ValueError:
        return Path(text), 1.0
    if not math.isfinite(factor) or factor == 0:
        raise argparse.ArgumentTypeError(f"{scale} is no scale: a number other than 0 is needed")
    return Path(folder), factor


def run(arguments: argparse.Namespace) -> int:
    from edgevlm_export.exporter import export_bundle
    from edgevlm_export.graph.precision import DEFAULTS, FLAVOURS

    from edgevlm.progress import Bar

    if arguments.report and FLAVOURS[arguments.device] != "ort":
        raise CommandError(
            f"A bundle for {arguments.device} runs only on TensorRT, but --report compares on ONNX Runtime; leave "
            "out --report."
        )
    if arguments.if_absent and arguments.bundle.exists():
        print(_present(arguments.bundle))
        return 0
    default = DEFAULTS[arguments.device]
    manifest = export_bundle(
        arguments.checkpoint,
        arguments.bundle,
        vision_tower=arguments.vision_tower,
        lora=arguments.lora,
        device=arguments.device,
        precision=arguments.precision or default.decoder,
        vision_precision=arguments.vision_precision or default.vision,
        name=arguments.name,
        progress=Bar(f"Exporting {arguments.checkpoint.name}"),
    )
    size = sum(file.size for file in manifest.files.values())
    numbers = f"{manifest.precision}, vision {manifest.vision_precision}"
    print(f"{arguments.bundle}: {manifest.model}, {manifest.family}, {numbers}, {size / 2**20:.1f} MiB")
    if arguments.report:
        print(_report(arguments))
    return 0


def _present(bundle: Path) -> str:
    """Says that the bundle exists. Raises `BundleError` if what is there is no whole bundle."""
    from edgevlm_engines import open_bundle

    return f"{bundle}: {open_bundle(bundle).manifest.model} already exists"


def _report(arguments: argparse.Namespace) -> str:
    from edgevlm_export.exporter import export_bundle

    from edgevlm.progress import Bar
    from edgevlm.quantisation import compare, steps

    with tempfile.TemporaryDirectory(dir=arguments.bundle.parent) as folder:
        reference = Path(folder) / "fp32"
        export_bundle(
            arguments.checkpoint,
            reference,
            vision_tower=arguments.vision_tower,
            lora=arguments.lora,
            progress=Bar("Exporting in fp32"),
        )
        bar = Bar("Comparing", "answer")
        bar.start(steps())
        comparison = compare(reference, arguments.bundle, bar.advance)
        bar.finish()
    return comparison.table()
