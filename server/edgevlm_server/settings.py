"""What was asked for: every flag of the server and its environment variable. The only reader of the environment."""

import argparse
import ipaddress
import os
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast, get_args

from edgevlm_engines import EngineName, Provider, size_text

from edgevlm_server.images.hosts import ImageHosts


class SettingsError(Exception):
    """The server cannot start as asked; one sentence for the person who started it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Frozen at start. Sizes in bytes, times in seconds, lengths in positions (tokens and image positions)."""

    host: str = "127.0.0.1"
    port: int = 8000
    engine: EngineName | None = None
    """`None`: what the bundle was made for."""
    provider: Provider | None = None
    """`None`: what the bundle was made for."""
    threads: int = 0
    plans: Path | None = None
    """`None`: a folder beside the bundle."""
    no_cuda_graphs: bool = False
    max_batch: int = 8
    max_length: int | None = None
    max_queue: int = 32
    max_images: int = 8
    image_hosts: ImageHosts | None = None
    """`None`: no picture is ever fetched."""
    max_body: int = 10 * 2**20
    image_cache: int = 64 * 2**20
    prefix_cache: int = 256 * 2**20
    memory: int | None = None
    drain_timeout: float = 30.0
    engine_timeout: float = 120.0
    api_keys: Path | None = None
    open_to_network_without_keys: bool = False
    no_page: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def offline(cls, provider: Provider | None = None, max_length: int | None = None) -> "Settings":
        """For one question after another in this process: one slot, and nothing kept for others."""
        return cls(provider=provider, max_batch=1, max_length=max_length, max_queue=0, image_cache=0, prefix_cache=0)

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


def _size(text: str) -> int:
    """Bytes. Units are powers of 1024, however they are spelled."""
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?) ?(?:([kmg])i?)?b?", text.strip(), re.ASCII | re.IGNORECASE)
    if found is None or (found[2] is None and "." in found[1]):
        raise argparse.ArgumentTypeError("a size is needed: bytes, or a number with K, M or G, such as 512M")
    return int(Fraction(found[1]) * 1024 ** " kmg".index((found[2] or " ").lower()))


def positive_size(text: str) -> int:
    """Bytes, at least one, as a flag states them."""
    size = _size(text)
    if size < 1:
        raise argparse.ArgumentTypeError("a size of at least 1 byte is needed")
    return size


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


def _image_hosts(text: str) -> ImageHosts:
    try:
        return ImageHosts.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _flag(text: str) -> bool:
    if text.lower() not in ("0", "1", "false", "true", "no", "yes"):
        raise argparse.ArgumentTypeError("yes or no is needed")
    return text.lower() in ("1", "true", "yes")


OPTIONS: Mapping[str, _Option] = {
    "host": _Option("address to listen on", metavar="ADDRESS"),
    "port": _Option("port to listen on; 0 lets the system choose", _port, metavar="PORT"),
    "engine": _Option(
        "what runs the model: ort (ONNX Runtime), trt (TensorRT), or echo, which repeats the prompt and needs none "
        "(default: what the bundle was made for)",
        choices=get_args(EngineName),
    ),
    "provider": _Option(
        "where ONNX Runtime runs (default: what the bundle was made for)", choices=get_args(Provider)
    ),
    "threads": _Option("threads of one engine call; 0: one per physical core", _not_negative, metavar="N"),
    "plans": _Option("folder of TensorRT's plans (default: BUNDLE.plans, beside the bundle)", Path, metavar="DIR"),
    "no_cuda_graphs": _Option(
        "launch TensorRT's kernels one by one in each step: slower, and easier to debug", _flag
    ),
    "max_batch": _Option("sequences that run together; each owns one slot of KV cache", _positive, metavar="SLOTS"),
    "max_length": _Option(
        "longest prompt with its answer, in positions (default: all that the model can)",
        _positive,
        metavar="N",
    ),
    "max_queue": _Option("requests that may wait beside those running; more get a 429", _not_negative, metavar="N"),
    "max_images": _Option("images in one request", _not_negative, metavar="N"),
    "image_hosts": _Option(
        "hosts that pictures may be fetched from, separated by commas: NAME or ADDRESS, also with :PORT, or "
        "NETWORK/BITS; a name may lead to public addresses and to those in the list (default: nothing is fetched)",
        _image_hosts,
        metavar="HOSTS",
    ),
    "max_body": _Option("size of one request's body", positive_size, metavar="SIZE"),
    "image_cache": _Option("memory for features of pictures that were sent before", _size, metavar="SIZE"),
    "prefix_cache": _Option("memory for keys and values of prompts that were computed before", _size, metavar="SIZE"),
    "memory": _Option(
        "what the server may use in all: then it has as many slots as fit, --max-batch at most",
        positive_size,
        metavar="SIZE",
    ),
    "drain_timeout": _Option("how long running requests may go on after SIGTERM", _seconds, metavar="SECONDS"),
    "engine_timeout": _Option(
        "how long one step of the engine may take before it counts as dead", _some_seconds, metavar="SECONDS"
    ),
    "api_keys": _Option("file of API keys, one a client, made by 'edgevlm keys'", Path, metavar="FILE"),
    "open_to_network_without_keys": _Option("let anyone who reaches the address use the server", _flag),
    "no_page": _Option("do not serve the page at / on which people try the model in a browser", _flag),
    "log_level": _Option("least severe messages to print", choices=("debug", "info", "warning", "error")),
}


def add_arguments(parser: argparse.ArgumentParser, names: Container[str] = OPTIONS) -> None:
    """Add every option, or those named; its environment variable is `EDGEVLM_` and its name in capitals."""
    for field in fields(Settings):
        if field.name not in names:
            continue
        option, default = OPTIONS[field.name], field.default
        value = size_text(default) if option.metavar == "SIZE" and isinstance(default, int) else default
        shown = "" if default is None or default is False else f" (default: {value})"
        text = f"{option.help}{shown} [{variable(field.name)}]"
        name = flag(field.name)
        if field.type is bool:
            parser.add_argument(name, action="store_const", const=True, help=text)
        else:
            parser.add_argument(name, type=option.parse, choices=option.choices, metavar=option.metavar, help=text)


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


def flag(name: str) -> str:
    """The option on the command line."""
    return "--" + name.replace("_", "-")


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
