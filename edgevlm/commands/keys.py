"""`edgevlm keys`: keys of the clients, of which the file holds hashes; and a site's keys for signing packs."""

import argparse
from datetime import datetime, timezone
from pathlib import Path

from edgevlm_server.option_values import not_negative

GRACE_HOURS = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="create a key for a client, print it once, and append its hash to the file")
    add.add_argument("file", type=Path, help="file for 'edgevlm serve --api-keys'; created if it does not exist")
    add.add_argument("name", help="name of the client, as it appears in the log")
    show = actions.add_parser("list", help="list the clients in the file, and until when replaced keys stay valid")
    show.add_argument("file", type=Path)
    remove = actions.add_parser("remove", help="remove a client and all its keys from the file")
    remove.add_argument("file", type=Path)
    remove.add_argument("name", help="name of the client")
    rotate = actions.add_parser("rotate", help="create a new key for a client and print it; the old one expires")
    rotate.add_argument("file", type=Path)
    rotate.add_argument("name", help="name of the client")
    rotate.add_argument(
        "--grace",
        type=not_negative,
        default=GRACE_HOURS,
        metavar="HOURS",
        help=f"how long the old key stays valid (default: {GRACE_HOURS}); 0: no longer",
    )
    sign = actions.add_parser("sign", help="create a pair of keys for 'edgevlm pack' and 'edgevlm unpack'")
    sign.add_argument("file", type=Path, help="secret key, to keep; the public one, for the devices, is FILE.pub")


def run(arguments: argparse.Namespace) -> int:
    if arguments.action == "sign":
        return _sign(arguments.file)
    from edgevlm_server.http.access import key_file

    if arguments.action == "add":
        print(key_file.add_key(arguments.file, arguments.name))
    elif arguments.action == "rotate":
        print(key_file.rotate_key(arguments.file, arguments.name, arguments.grace * 3600))
    elif arguments.action == "remove":
        key_file.remove_client(arguments.file, arguments.name)
    else:
        for entry in key_file.list_keys(arguments.file):
            print(f"{entry.name}\t{_validity(entry.until)}")
    return 0


def _validity(until: float | None) -> str:
    if until is None:
        return "valid"
    end = datetime.fromtimestamp(until, timezone.utc)
    word = "valid until" if end > datetime.now(timezone.utc) else "expired"
    return f"{word} {end:%Y-%m-%d %H:%M:%S} UTC"


def _sign(file: Path) -> int:
    from edgevlm.pack.keys import make_pair

    public = file.with_name(f"{file.name}.pub")
    make_pair(file, public)
    print(public)
    return 0
