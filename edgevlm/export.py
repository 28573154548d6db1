"""`edgevlm export`: a checkpoint in the published layout becomes a bundle."""

import argparse
from pathlib import Path
from typing import get_args


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from edgevlm_engines.manifest import Precision

    parser.add_argument("checkpoint", type=Path, help="folder with config.json, weights and tokenizer.model")
    parser.add_argument("bundle", type=Path, help="folder to make; it must not exist")
    parser.add_argument(
        "--vision-tower",
        type=Path,
        metavar="DIR",
        help="folder of the CLIP model; V1 takes its weights from there, V2 only sizes that differ from ViT-L/14-336",
    )
    parser.add_argument(
        "--precision", choices=get_args(Precision), default="fp32", help="fp32 for the CPU (default), fp16 for CUDA"
    )
    parser.add_argument("--name", help="name that clients see (default: the checkpoint folder's)")


def run(arguments: argparse.Namespace) -> int:
    from edgevlm_export.exporter import export_bundle

    from edgevlm.progress import Bar

    manifest = export_bundle(
        arguments.checkpoint,
        arguments.bundle,
        vision_tower=arguments.vision_tower,
        precision=arguments.precision,
        name=arguments.name,
        progress=Bar(f"Exporting {arguments.checkpoint.name}"),
    )
    size = sum(file.size for file in manifest.files.values())
    print(f"{arguments.bundle}: {manifest.model}, {manifest.family}, {manifest.precision}, {size / 2**20:.1f} MiB")
    return 0
