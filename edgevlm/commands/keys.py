"""`edgevlm keys`: make a key for a client and keep its hash."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="make a key for a client, print it once, and append its hash to the file")
    add.add_argument("file", type=Path, help="the file for 'edgevlm serve --api-keys'; made if it is not there")
    add.add_argument("name", help="the client's name, as the log will show it")


def run(arguments: argparse.Namespace) -> int:
    from edgevlm_server.keys import add_key

    print(add_key(arguments.file, arguments.name))
    return 0
