"""`edgevlm chat`: a conversation about pictures in the terminal, with what was said before in mind."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgevlm.commands.ask import add_answering, offline_settings
from edgevlm.errors import CommandError

if TYPE_CHECKING:
    from edgevlm.offline.conversation import Conversation

HELP = "/image FILE shows a picture, /new begins anew, /quit ends. Everything else is said to the model."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        type=Path,
        nargs="?",
        metavar="BUNDLE",
        help="bundle, checkpoint, or name of a published model (default: the demo model)",
    )
    parser.add_argument("pictures", type=Path, nargs="*", metavar="PICTURE", help="pictures to begin with")
    add_answering(parser)
    parser.epilog = HELP


def run(arguments: argparse.Namespace) -> int:
    from edgevlm.offline.conversation import Conversation
    from edgevlm.offline.local_model import LocalModel

    with LocalModel.load(arguments.model, offline_settings(arguments)) as model:
        conversation = Conversation(model, arguments.max_tokens)
        for picture in arguments.pictures:
            conversation.show(picture)
        print(f"{model.name}. {HELP}", file=sys.stderr)
        for line in _lines():
            if line == "/quit":
                break
            try:
                _follow(conversation, line)
            except CommandError as error:
                print(error, file=sys.stderr)
    return 0


def _lines() -> Iterator[str]:
    """What is typed, without empty lines, until the end of the input."""
    prompt = "> " if sys.stdin.isatty() else ""
    while True:
        try:
            line = input(prompt).strip()
        except EOFError:
            return
        if line:
            yield line


def _follow(conversation: "Conversation", line: str) -> None:
    command, _, rest = line.partition(" ")
    if command == "/image":
        conversation.show(Path(rest.strip()).expanduser())
    elif command == "/new":
        conversation.begin()
    elif command.startswith("/"):
        print(HELP, file=sys.stderr)
    else:
        _answer(conversation, line)


def _answer(conversation: "Conversation", question: str) -> None:
    """Until its end, or until Ctrl-C, which ends this answer alone."""
    try:
        for piece in conversation.ask(question):
            print(piece, end="", flush=True)
    except KeyboardInterrupt:
        print(" ...", end="")
    print()
