"""`edgevlm unpack`: a pack is checked, then its bundle becomes a folder, with plans, wheels and image beside it."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="file made by 'edgevlm pack'")
    parser.add_argument("bundle", type=Path, help="folder to create; plans, wheels and image go beside it")
    parser.add_argument(
        "--key",
        type=Path,
        required=True,
        metavar="FILE",
        help="public key of whoever may sign, from 'edgevlm keys sign'",
    )


def run(arguments: argparse.Namespace) -> int:
    from edgevlm.pack.read import target, unpack
    from edgevlm.progress import Bar

    index = unpack(arguments.file, arguments.bundle, arguments.key, Bar(f"Unpacking {arguments.file.name}"))
    for folder in dict.fromkeys(packed.folder for packed in index.files):
        print(target(arguments.bundle, folder))
    return 0
