"""What was asked for: every setting of the server, given by a flag or by its environment variable."""

# ruff: noqa: RUF009 - a field is made by `option`

import argparse
import ipaddress
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from edgevlm_engines import EngineName, Provider

from edgevlm_server.images.hosts import ImageHosts
from edgevlm_server.option_values import (
    address,
    addresses,
    at_least_one,
    host_names,
    http_address,
    image_hosts,
    not_negative,
    origins,
    path_prefix,
    port_number,
    positive_size,
    probability,
    seconds,
    size,
    some_seconds,
    yes_or_no,
)
from edgevlm_server.options import ENVIRONMENT, Option, add_options, chosen_options, option, options
from edgevlm_server.options import SettingsError as SettingsError

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]
MetricsAliases = Literal["vllm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Frozen at start. Sizes in bytes, times in seconds, lengths in positions (tokens and image positions)."""

    host: str = option("127.0.0.1", "address to listen on, or a name: localhost is IPv4 and IPv6", "ADDRESS", address)
    port: int = option(8000, "port to listen on; 0 lets the system choose one", "PORT", port_number)
    allowed_hosts: tuple[str, ...] | None = option(
        None,
        "names that clients may use for this server, separated by commas, or * for any; its addresses and names "
        "of the local network may always be used (default: on loopback without keys no others, else any)",
        "NAMES",
        host_names,
    )
    root_path: str | None = option(
        None, "path under which a proxy publishes the server, such as /edgevlm", "PATH", path_prefix
    )
    trusted_proxies: tuple[str, ...] | None = option(
        None,
        "addresses or networks of proxies, separated by commas: their X-Forwarded-For is believed, and each may open "
        "any number of connections",
        "ADDRESSES",
        addresses,
    )
    cors_origins: tuple[str, ...] | None = option(
        None,
        "origins whose pages may use the API from a browser, separated by commas, such as https://mes.example, or * "
        "for any",
        "ORIGINS",
        origins,
    )
    keep_alive: int = option(
        75,
        "how long an idle connection is kept; longer than clients and proxies keep theirs",
        "SECONDS",
        at_least_one,
    )
    head_timeout: float = option(
        20.0, "how long a new connection may take to send the head of a request", "SECONDS", some_seconds
    )
    max_connections: int = option(1024, "most open connections, as far as file descriptors allow", "N", at_least_one)
    max_connections_per_address: int = option(256, "most of them from one address", "N", at_least_one)
    engine: EngineName | None = option(
        None,
        "what runs the model: ort (ONNX Runtime), trt (TensorRT), or echo, which repeats the prompt and needs "
        "neither (default: what the bundle was made for)",
        choices=get_args(EngineName),
    )
    provider: Provider | None = option(
        None, "where ONNX Runtime runs (default: what the bundle was made for)", choices=get_args(Provider)
    )
    threads: int = option(0, "threads used by one engine call; 0: one per physical core", "N", not_negative)
    plans: Path | None = option(
        None, "folder for TensorRT plans (default: BUNDLE.plans, beside the bundle)", "DIR", Path
    )
    no_cuda_graphs: bool = option(
        False, "launch TensorRT's kernels one by one in each step: slower, but easier to debug", parse=yes_or_no
    )
    max_batch: int = option(
        8, "sequences that run together; each owns one slot of the KV cache", "SLOTS", at_least_one
    )
    max_length: int | None = option(
        None, "longest prompt plus its answer, in positions (default: as long as the model allows)", "N", at_least_one
    )
    max_queue: int = option(
        32, "requests that may wait in addition to those running; any more get a 429", "N", not_negative
    )
    max_images: int = option(8, "most images in one request", "N", not_negative)
    image_hosts: ImageHosts | None = option(
        None,
        "hosts that images may be fetched from, separated by commas: NAME or ADDRESS, either with an optional :PORT, "
        "or NETWORK/BITS; a name may resolve to public addresses and to those on the list (default: nothing is "
        "fetched)",
        "HOSTS",
        image_hosts,
    )
    image_timeout: float = option(5.0, "processor time that decoding one picture may take", "SECONDS", some_seconds)
    max_body: int = option(10 * 2**20, "largest request body", "SIZE", positive_size)
    image_cache: int = option(64 * 2**20, "memory for the features of images seen before", "SIZE", size)
    prefix_cache: int = option(256 * 2**20, "memory for the keys and values of prompts computed before", "SIZE", size)
    memory: int | None = option(
        None,
        "memory the server may use in total; it then has as many slots as fit, at most --max-batch",
        "SIZE",
        positive_size,
    )
    metrics_port: int | None = option(
        None,
        "port of a second listener with /metrics, /health and /ready, none of which needs a key there; 0 lets the "
        "system choose one (default: there is none)",
        "PORT",
        port_number,
    )
    metrics_host: str = option("127.0.0.1", "address or name that --metrics-port listens on", "ADDRESS", address)
    metrics_clients: bool = option(
        False, "also count requests by the names of their keys: whoever reads the metrics sees them", parse=yes_or_no
    )
    metrics_aliases: MetricsAliases | None = option(
        None,
        "give the metrics that vLLM has under its names, too (default: under this program's alone)",
        choices=get_args(MetricsAliases),
    )
    otlp_endpoint: str | None = option(
        None,
        "where traces are sent, by OTLP over HTTP, such as http://collector:4318/v1/traces; needs the extra otel "
        "(default: there are no traces)",
        "URL",
        http_address,
    )
    limit_requests_at_once: int | None = option(
        None,
        "most requests of one client under way, waiting or running; a client is a key, or an address where there are "
        "no keys",
        "N",
        at_least_one,
    )
    limit_requests_per_minute: int | None = option(
        None, "most requests of one client in any 60 seconds", "N", at_least_one
    )
    limit_tokens_per_minute: int | None = option(
        None,
        "tokens, of prompts and answers together, that one client may use in any 60 seconds before its next request "
        "has to wait",
        "N",
        at_least_one,
    )
    limit_pictures_kept: int | None = option(
        None, "most pictures of one client in the image cache", "N", at_least_one
    )
    request_timeout: float | None = option(
        None,
        "how long a request may take from its arrival to the last of its answer (default: as long as it takes)",
        "SECONDS",
        some_seconds,
    )
    drain_timeout: float = option(30.0, "how long running requests may continue after SIGTERM", "SECONDS", seconds)
    engine_timeout: float = option(
        120.0, "how long one engine step may take before the engine counts as dead", "SECONDS", some_seconds
    )
    api_keys: Path | None = option(None, "file of API keys, one per client, made by 'edgevlm keys'", "FILE", Path)
    tls_cert: Path | None = option(
        None,
        "file of the server's certificate, PEM, with those of its issuers behind it: the server then speaks HTTPS",
        "FILE",
        Path,
    )
    tls_key: Path | None = option(None, "file of the certificate's key, PEM, without a passphrase", "FILE", Path)
    open_to_network_without_keys: bool = option(
        False, "let anyone who can reach the address use the server", parse=yes_or_no
    )
    no_page: bool = option(
        False, "do not serve the page at / where people can try the model in a browser", parse=yes_or_no
    )
    min_confidence: float = option(
        0.0,
        "how sure an answer must be, from 0 to 1, or it is refused; a request may say it itself",
        "P",
        probability,
    )
    stations: Path | None = option(
        None,
        "folder of stations, one JSON file each: what /v1/readings reads there, and how (default: there are none)",
        "DIR",
        Path,
    )
    audit: Path | None = option(
        None,
        "folder where the audit is kept: for each generating request the question, the answer and the digests of its "
        "pictures; what waits for its disk takes up to 32 MiB of memory (default: none is kept)",
        "DIR",
        Path,
    )
    audit_pictures: bool = option(False, "keep the pictures in the audit, too, each once", parse=yes_or_no)
    audit_days: int = option(30, "how long the audit's files stay", "N", at_least_one)
    audit_size: int = option(
        2**30, "how much the audit's files may take together; then the oldest go", "SIZE", positive_size
    )
    log_level: LogLevel = option("info", "least severe messages to print", choices=get_args(LogLevel))
    log_format: LogFormat | None = option(
        None,
        "how messages are printed, one a line: as text, or as JSON (default: text on a terminal, else json)",
        choices=get_args(LogFormat),
    )

    @classmethod
    def offline(
        cls, provider: Provider | None = None, max_length: int | None = None, plans: Path | None = None
    ) -> "Settings":
        """For one question after another in this process: one slot, and nothing kept for others."""
        return cls(
            provider=provider,
            plans=plans,
            max_batch=1,
            max_length=max_length,
            max_queue=0,
            image_cache=0,
            prefix_cache=0,
        )

    def check(self) -> None:
        """Refuse what must not be served: an address that others reach, without keys; half a certificate."""
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SettingsError("--tls-cert and --tls-key go together: give both.")
        if self.api_keys is None and not self.open_to_network_without_keys and not is_loopback(self.host):
            raise SettingsError(
                f"Listening on {self.host} would let everyone on the network use this server. Give --api-keys FILE "
                "(see 'edgevlm keys'), or --open-to-network-without-keys if that is what you want."
            )
        if self.audit_pictures and self.audit is None:
            raise SettingsError("--audit-pictures needs a folder for the audit: --audit DIR.")


OPTIONS: Mapping[str, Option] = options(Settings)
"""By the names of the settings."""


def add_arguments(parser: argparse.ArgumentParser, names: Container[str] = OPTIONS) -> None:
    """Add every option, or those named; its environment variable is `EDGEVLM_` and its name in capitals."""
    add_options(parser, Settings, names)


def from_arguments(
    arguments: argparse.Namespace,
    environment: Mapping[str, str] = ENVIRONMENT,
    names: Container[str] = OPTIONS,
) -> Settings:
    """Flags first, then the environment, then defaults; only the options named, as for `add_arguments`.

    Raises `SettingsError`.
    """
    settings = chosen_options(Settings, arguments, environment, names)
    if "host" in names:
        settings.check()
    return settings


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address. A name other than `localhost` may point anywhere."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
