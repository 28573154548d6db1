"""`edgevlm verify`: what a bundle's precision costs on the user's own model, layer by layer, beside fp32."""

import argparse
from pathlib import Path

from edgevlm.commands.export import add_parts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="bundle folder made by 'edgevlm export' for cpu or cuda")
    parser.add_argument(
        "--checkpoint", type=Path, required=True, metavar="DIR", help="folder that the bundle was made from"
    )
    add_parts(parser)
    parser.epilog = "It needs room beside the bundle for the checkpoint in fp32, and runs on the CPU."


def run(arguments: argparse.Namespace) -> int:
    from edgevlm.accuracy.layers import verify

    print(f"{'output of':<20}{'error / size':>14}{'cosine':>12}")
    for layer in verify(arguments.bundle, arguments.checkpoint, arguments.vision_tower, arguments.lora):
        print(f"{layer.name:<20}{layer.error:>14.5f}{layer.cosine:>12.6f}")
    return 0
