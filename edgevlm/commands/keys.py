"""`edgevlm keys`: make a key for a client and keep its hash."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="create a key for a client, print it once, and append its hash to the file")
    add.add_argument("file", type=Path, help="file for 'edgevlm serve --api-keys'; created if it does not exist")
    add.add_argument("name", help="name of the client, as it appears in the log")


def run(arguments: argparse.Namespace) -> int:
    from edgevlm_server.keys import add_key

    print(add_key(arguments.file, arguments.name))
    return 0
