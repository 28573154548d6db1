"""`edgevlm pack`: a bundle and what belongs to it become one signed file, for a machine without a network."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="bundle folder made by 'edgevlm export'")
    parser.add_argument("file", type=Path, help="file to create; it must not exist yet")
    parser.add_argument(
        "--key", type=Path, required=True, metavar="FILE", help="secret key to sign with, made by 'edgevlm keys sign'"
    )
    parser.add_argument("--plans", type=Path, metavar="DIR", help="folder of TensorRT plans, such as BUNDLE.plans")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="folder of wheels to install from")
    parser.add_argument("--image", type=Path, metavar="FILE", help="container image, as 'docker save' writes it")


def run(arguments: argparse.Namespace) -> int:
    from edgevlm_engines import size_text

    from edgevlm.pack.write import Contents, pack
    from edgevlm.progress import Bar

    contents = Contents(arguments.bundle, arguments.plans, arguments.wheels, arguments.image)
    index = pack(contents, arguments.file, arguments.key, Bar(f"Packing {arguments.bundle.name}"))
    print(f"{arguments.file}: {index.model}, {len(index.files)} files, {size_text(index.size)}")
    return 0
