"""How an option is given: its flag, its environment variable, its bounds. Knows no option by name.

Options are the fields of a frozen dataclass, each made by `option`; every one of them has a flag and a variable.
"""

import argparse
import os
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import field, fields
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeVar, cast

from edgevlm_engines import size_text

T = TypeVar("T")

PREFIX = "EDGEVLM_"
"""Of every variable."""

ENVIRONMENT: Mapping[str, str] = os.environ
"""Where variables come from; nothing else reads it."""


class SettingsError(Exception):
    """The server cannot start as asked; one sentence for the person who started it."""


class Option(NamedTuple):
    """`parse` raises `argparse.ArgumentTypeError`."""

    help: str
    parse: Callable[[str], Any]
    choices: tuple[str, ...] | None
    metavar: str | None
    many: bool
    """A tuple of values: the flag may be given again, the variable separates them by commas."""
    positional: bool
    """Given without a flag."""


def option(
    default: T,
    help: str,
    metavar: str | None = None,
    parse: Callable[[str], Any] = str,
    choices: tuple[str, ...] | None = None,
    *,
    many: bool = False,
    positional: bool = False,
) -> T:
    """A field of a dataclass: its default, and how it is given."""
    known = Option(help, parse, choices, metavar, many, positional)
    return field(default=default, metadata={"option": known})


def options(kind: type) -> dict[str, Option]:
    """Those of a dataclass, by their names."""
    return {one.name: one.metadata["option"] for one in fields(kind)}


def add_options(
    parser: argparse._ActionsContainer, kind: type, names: Container[str] | None = None, *, variables: bool = True
) -> None:
    """Add every option of a dataclass, or those named; the help tells their variables."""
    for one in fields(kind):
        if names is None or one.name in names:
            _add(parser, one.name, one.metadata["option"], one.default, f" [{variable(one.name)}]" * variables)


def chosen_options(
    kind: type[T],
    arguments: argparse.Namespace,
    environment: Mapping[str, str] = ENVIRONMENT,
    names: Container[str] | None = None,
) -> T:
    """Flags first, then the environment, then defaults; only the options named. Raises `SettingsError`."""
    chosen: dict[str, Any] = {}
    for name, known in options(kind).items():
        if names is not None and name not in names:
            continue
        value = getattr(arguments, name, None)
        text = environment.get(variable(name))
        if value is None and text:  # compose files set what is not given to nothing
            value = _parse(name, known, text)
        if value is not None:
            chosen[name] = tuple(value) if known.many else value
    return kind(**chosen)


def unknown_variables(kinds: Iterable[type], environment: Mapping[str, str] = ENVIRONMENT) -> list[str]:
    """A sentence for each variable that looks like ours and is no option's.

    That is no reason not to start: a cluster may link services by such names, and after a rollback a newer version's
    variables are still there.
    """
    known = [variable(name) for kind in kinds for name in options(kind)]
    return [
        f"{name} is set, but there is no such option{_meant(name, known)}"
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in known
    ]


def environment_with(names: Container[str], environment: Mapping[str, str] = ENVIRONMENT) -> dict[str, str]:
    """This environment for another process, of our variables with those of the options named alone."""
    return {
        name: text
        for name, text in environment.items()
        if not name.startswith(PREFIX) or name.removeprefix(PREFIX).lower() in names
    }


def flag(name: str) -> str:
    """The option on the command line."""
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    """The environment variable of an option."""
    return f"{PREFIX}{name.upper()}"


def _add(parser: argparse._ActionsContainer, name: str, known: Option, default: Any, variable: str) -> None:
    value = size_text(default) if known.metavar == "SIZE" and default is not None else default
    shown = "" if default is None or default is False or default == () else f" (default: {value})"
    text = f"{known.help}{shown}{variable}"
    if default is False:
        parser.add_argument(flag(name), action="store_const", const=True, help=text)
    elif known.positional:
        parser.add_argument(name, nargs="?", type=known.parse, metavar=known.metavar, help=text)
    else:
        action = "append" if known.many else "store"
        parser.add_argument(
            flag(name), action=action, type=known.parse, choices=known.choices, metavar=known.metavar, help=text
        )


def _parse(name: str, known: Option, text: str) -> object:
    try:
        value = [known.parse(part.strip()) for part in text.split(",")] if known.many else known.parse(text)
    except argparse.ArgumentTypeError as error:
        raise SettingsError(f"{variable(name)}: {error}.") from None
    if known.choices and value not in known.choices:
        raise SettingsError(f"{variable(name)}: choose one of {', '.join(known.choices)}.")
    return cast(object, value)


def _meant(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.85)
    return f"; is {near[0]} meant?" if near else "."
