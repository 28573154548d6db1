"""What was asked for: every flag of the server and its environment variable. The only reader of the environment."""

import argparse
import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast, get_args

from edgevlm_engines import EngineName, Provider


class SettingsError(Exception):
    """The server cannot start as asked; one sentence for the person who started it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Frozen at start. Sizes in bytes, times in seconds, lengths in positions (tokens and image positions)."""

    host: str = "127.0.0.1"
    port: int = 8000
    engine: EngineName = "ort"
    provider: Provider = "cpu"
    threads: int = 0
    max_batch: int = 8
    max_length: int | None = None
    max_queue: int = 32
    max_images: int = 8
    max_body: int = 10 * 2**20
    image_cache: int = 64 * 2**20
    drain_timeout: float = 30.0
    engine_timeout: float = 120.0
    api_keys: Path | None = None
    open_to_network_without_keys: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def check(self) -> None:
        """Refuse what must not be served: an address that others reach, without keys."""
        if self.api_keys is None and not self.open_to_network_without_keys and not is_loopback(self.host):
            raise SettingsError(
                f"Listening on {self.host} would let everyone on the network use this server. Give --api-keys FILE "
                "(see 'edgevlm keys'), or --open-to-network-without-keys if that is what you want."
            )


@dataclass(frozen=True, slots=True)
class _Option:
    help: str
    parse: Callable[[str], Any] = str
    choices: tuple[str, ...] | None = None
    metavar: str | None = None


def _positive(text: str) -> int:
    return _at_least(1, text)


def _not_negative(text: str) -> int:
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"a whole number of at least {least} is needed")
    return value


def _port(text: str) -> int:
    value = _not_negative(text)
    if value > 65535:
        raise argparse.ArgumentTypeError("a port is at most 65535")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 86_400:
        raise argparse.ArgumentTypeError("a number of seconds from 0 to 86400 is needed")
    return value


def _some_seconds(text: str) -> float:
    value = _seconds(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1 second is needed")
    return value


def _flag(text: str) -> bool:
    if text.lower() not in ("0", "1", "false", "true", "no", "yes"):
        raise argparse.ArgumentTypeError("yes or no is needed")
    return text.lower() in ("1", "true", "yes")


OPTIONS: Mapping[str, _Option] = {
    "host": _Option("address to listen on", metavar="ADDRESS"),
    "port": _Option("port to listen on; 0 lets the system choose", _port, metavar="PORT"),
    "engine": _Option("what runs the model; echo repeats the prompt and needs none", choices=get_args(EngineName)),
    "provider": _Option("where ONNX Runtime runs", choices=get_args(Provider)),
    "threads": _Option("threads of one engine call; 0: one per physical core", _not_negative, metavar="N"),
    "max_batch": _Option("sequences that run together; each owns one row of KV cache", _positive, metavar="ROWS"),
    "max_length": _Option(
        "longest prompt with its answer, in positions (default: all that the model can)",
        _positive,
        metavar="N",
    ),
    "max_queue": _Option("requests that may wait beside those running; more get a 429", _not_negative, metavar="N"),
    "max_images": _Option("images in one request", _not_negative, metavar="N"),
    "max_body": _Option("size of one request's body", _positive, metavar="BYTES"),
    "image_cache": _Option("memory for features of pictures that were sent before", _not_negative, metavar="BYTES"),
    "drain_timeout": _Option("how long running requests may go on after SIGTERM", _seconds, metavar="SECONDS"),
    "engine_timeout": _Option(
        "how long one step of the engine may take before it counts as dead", _some_seconds, metavar="SECONDS"
    ),
    "api_keys": _Option("file of API keys, one a client, made by 'edgevlm keys'", Path, metavar="FILE"),
    "open_to_network_without_keys": _Option("let anyone who reaches the address use the server", _flag),
    "log_level": _Option("least severe messages to print", choices=("debug", "info", "warning", "error")),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add every option; its environment variable is `EDGEVLM_` and its name in capitals."""
    for field in fields(Settings):
        option, default = OPTIONS[field.name], field.default
        shown = "" if default is None or default is False else f" (default: {default})"
        text = f"{option.help}{shown} [{variable(field.name)}]"
        flag = "--" + field.name.replace("_", "-")
        if field.type is bool:
            parser.add_argument(flag, action="store_const", const=True, help=text)
        else:
            parser.add_argument(flag, type=option.parse, choices=option.choices, metavar=option.metavar, help=text)


def from_arguments(arguments: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Settings:
    """Flags first, then the environment, then defaults. Raises `SettingsError`."""
    chosen: dict[str, Any] = {}
    for name, option in OPTIONS.items():
        value = getattr(arguments, name, None)
        text = environment.get(variable(name))
        if value is None and text:  # compose files set what is not given to nothing
            value = _parse(name, option, text)
        if value is not None:
            chosen[name] = value
    settings = Settings(**chosen)
    settings.check()
    return settings


def variable(name: str) -> str:
    """The environment variable of an option."""
    return f"EDGEVLM_{name.upper()}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address. A name other than `localhost` may point anywhere."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parse(name: str, option: _Option, text: str) -> object:
    try:
        value = option.parse(text)
    except argparse.ArgumentTypeError as error:
        raise SettingsError(f"{variable(name)}: {error}.") from None
    if option.choices and value not in option.choices:
        raise SettingsError(f"{variable(name)}: choose one of {', '.join(option.choices)}.")
    return cast(object, value)
