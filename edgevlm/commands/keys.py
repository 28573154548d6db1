"""`edgevlm keys`: make a key for a client and keep its hash; make a site's keys for signing packs."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="create a key for a client, print it once, and append its hash to the file")
    add.add_argument("file", type=Path, help="file for 'edgevlm serve --api-keys'; created if it does not exist")
    add.add_argument("name", help="name of the client, as it appears in the log")
    sign = actions.add_parser("sign", help="create a pair of keys for 'edgevlm pack' and 'edgevlm unpack'")
    sign.add_argument("file", type=Path, help="secret key, to keep; the public one, for the devices, is FILE.pub")


def run(arguments: argparse.Namespace) -> int:
    if arguments.action == "sign":
        from edgevlm.pack.keys import make_pair

        public = arguments.file.with_name(f"{arguments.file.name}.pub")
        make_pair(arguments.file, public)
        print(public)
        return 0
    from edgevlm_server.http.access.keys import add_key

    print(add_key(arguments.file, arguments.name))
    return 0
