"""The commands and their options. Each command's module is imported when it is chosen, so `--help` is quick."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Any, NamedTuple

from edgevlm_server.version import described

from edgevlm.errors import CommandError

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
"""128 and the signal's number, as a shell reports it."""


class Command(NamedTuple):
    """`module` has `add_arguments(parser)` and `run(arguments) -> exit code`."""

    module: str
    help: str


COMMANDS = {
    "serve": Command("edgevlm.commands.serve", "start the HTTP server"),
    "ask": Command("edgevlm.commands.ask", "ask one question about pictures, without a server"),
    "chat": Command("edgevlm.commands.chat", "talk about pictures in the terminal, without a server"),
    "pull": Command("edgevlm.commands.pull", "fetch a published checkpoint from the hub or a mirror of it"),
    "export": Command("edgevlm.commands.export", "turn a MobileVLM checkpoint into a bundle"),
    "build": Command("edgevlm.commands.build", "build a bundle's TensorRT plans on the device that will run them"),
    "eval": Command(
        "edgevlm.commands.evaluate", "ask questions whose answers are known: the demo model's, or six benchmarks"
    ),
    "verify": Command("edgevlm.commands.verify", "show what a bundle's precision costs, layer by layer, beside fp32"),
    "pack": Command("edgevlm.commands.pack", "put a bundle and what belongs to it into one signed file"),
    "unpack": Command("edgevlm.commands.unpack", "check such a file and put its bundle into a folder"),
    "bench": Command("edgevlm.commands.bench", "measure a server under load, as its clients experience it"),
    "parity": Command("edgevlm.commands.parity", "compare every stage with a reference computed by upstream's code"),
    "doctor": Command("edgevlm.commands.doctor", "report what this machine has, what fits on it, and what is wrong"),
    "cache": Command("edgevlm.commands.cache", "list and remove cached bundles and TensorRT plans"),
    "keys": Command("edgevlm.commands.keys", "make, list, replace and remove API keys"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. A mistake of the user ends in one sentence, not a traceback."""
    # a path may hold bytes that are no text; where it is shown, that must not end in a traceback
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = _parse(sys.argv[1:] if argv is None else list(argv))
    # as an exception, so that half-written files are removed on the way out; the server sets a handler of its own
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(EXIT_TERMINATED))
    run: Callable[[argparse.Namespace], int] = import_module(COMMANDS[arguments.command].module).run
    try:
        return run(arguments)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # the reader of our output has left, as `head` does; Python must not complain about it again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        print(f"edgevlm {arguments.command}: {_sentence(error)}", file=sys.stderr)
        return code


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="edgevlm", description="Serves MobileVLM on Jetson-class devices.")
    parser.add_argument("--version", action="version", version=f"edgevlm {described()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((word for word in argv if word in COMMANDS), None)
    for name, command in COMMANDS.items():
        description = f"{command.help[0].upper()}{command.help[1:]}."
        subparser = commands.add_parser(name, help=command.help, description=description)
        if name == chosen:
            import_module(command.module).add_arguments(subparser)
    return parser.parse_args(argv)


class _Parser(argparse.ArgumentParser):
    """Every command refuses what it does not know itself, so that the usage shown is its own."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown


def _exit_code(error: Exception) -> int | None:
    """The code for an error that is the user's to mend, by its class; `None` for a mistake of ours."""
    from edgevlm_engines import EngineError
    from edgevlm_export.errors import ExportError
    from edgevlm_server.exit_codes import EXIT_CANNOT_START
    from edgevlm_server.settings import SettingsError

    if isinstance(error, SettingsError | EngineError):
        return EXIT_CANNOT_START
    return EXIT_FAILED if isinstance(error, ExportError | CommandError) or _is_about_a_file(error) else None


def _is_about_a_file(error: Exception) -> bool:
    """A place that may not be looked at, for one: every path of an option may be such."""
    return isinstance(error, OSError) and error.filename is not None and error.strerror is not None


def _sentence(error: Exception) -> str:
    return f"{error.filename}: {error.strerror}." if isinstance(error, OSError) else str(error)


def configure_log(level: str, form: str = "text", handler: logging.Handler | None = None) -> None:
    """One line an event on standard error, also of libraries and of Python's warnings; see `FORMS`."""
    from edgevlm_server.observe.log_form import FORMS

    handler = handler or logging.StreamHandler()
    handler.setFormatter(FORMS[form]())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.captureWarnings(True)
