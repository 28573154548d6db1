"""Settings: flags over environment over defaults, bounds, and the refusal to serve a network without keys."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import pytest
from edgevlm_server.images.hosts import ImageHosts
from edgevlm_server.options import variable
from edgevlm_server.settings import OPTIONS, Settings, SettingsError, add_arguments, from_arguments, is_loopback


def chosen(*argv: str, environment: Mapping[str, str] | None = None) -> Settings:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    return from_arguments(parser.parse_args(argv), environment or {})


def test_defaults() -> None:
    assert chosen() == Settings()


def test_flags_win_over_the_environment() -> None:
    environment = {"EDGEVLM_PORT": "9000", "EDGEVLM_MAX_BATCH": "3"}
    settings = chosen("--port", "9001", environment=environment)
    assert (settings.port, settings.max_batch) == (9001, 3)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("host", "127.0.0.2", "127.0.0.2"),
        ("host", "[::1]", "::1"),
        ("port", "0", 0),
        ("allowed_hosts", "Vision.Example., *", ("vision.example", "*")),
        ("root_path", "/edge/vlm/", "/edge/vlm"),
        ("root_path", "/", ""),
        ("trusted_proxies", "10.0.0.2, fd00::/8", ("10.0.0.2", "fd00::/8")),
        (
            "cors_origins",
            "HTTPS://mes.example,http://[::1]:3000,*",
            ("https://mes.example", "http://[::1]:3000", "*"),
        ),
        ("keep_alive", "30", 30.0),
        ("head_timeout", "5", 5.0),
        ("max_connections", "100", 100),
        ("max_connections_per_address", "10", 10),
        ("image_timeout", "2.5", 2.5),
        ("engine", "trt", "trt"),
        ("provider", "cuda", "cuda"),
        ("threads", "4", 4),
        ("plans", "plans", Path("plans")),
        ("no_cuda_graphs", "yes", True),
        ("max_batch", "16", 16),
        ("max_length", "512", 512),
        ("max_queue", "0", 0),
        ("max_images", "0", 0),
        ("image_hosts", "camera-1.local,10.0.0.7:8080", ImageHosts.parse("camera-1.local,10.0.0.7:8080")),
        ("max_body", "1000", 1000),
        ("image_cache", "0", 0),
        ("prefix_cache", "512M", 512 * 2**20),
        ("memory", "1.5GiB", 3 * 2**29),
        ("drain_timeout", "1.5", 1.5),
        ("engine_timeout", "30", 30.0),
        ("api_keys", "keys", Path("keys")),
        ("open_to_network_without_keys", "yes", True),
        ("no_page", "yes", True),
        ("log_level", "debug", "debug"),
    ],
)
def test_every_setting_can_be_made_both_ways(name: str, text: str, value: object) -> None:
    flag = "--" + name.replace("_", "-")
    argv = [flag] if value is True else [flag, text]
    assert getattr(chosen(*argv), name) == value
    assert getattr(chosen(environment={variable(name): text}), name) == value


def test_an_empty_variable_is_no_value() -> None:
    assert chosen(environment={"EDGEVLM_API_KEYS": "", "EDGEVLM_PORT": ""}) == Settings()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("port", "-1"),
        ("port", "65536"),
        ("port", "http"),
        ("allowed_hosts", "vision.example:8000"),
        ("allowed_hosts", "https://vision.example"),
        ("root_path", "edgevlm"),
        ("root_path", "/a//b"),
        ("root_path", "/a?b"),
        ("trusted_proxies", "proxy.example"),
        ("trusted_proxies", "10.0.0.1/24"),
        ("cors_origins", "mes.example"),
        ("cors_origins", "https://mes.example/"),
        ("cors_origins", "https://*.example"),
        ("keep_alive", "0"),
        ("head_timeout", "0"),
        ("max_connections", "0"),
        ("max_connections_per_address", "0"),
        ("image_timeout", "0"),
        ("max_batch", "0"),
        ("max_batch", "many"),
        ("max_length", "0"),
        ("image_hosts", "http://camera-1.local"),
        ("image_hosts", "*"),
        ("max_body", "0"),
        ("memory", "0"),
        ("memory", "half"),
        ("prefix_cache", "-1"),
        ("drain_timeout", "-1"),
        ("engine_timeout", "0"),
        ("drain_timeout", "nan"),
        ("engine", "torch"),
        ("log_level", "loud"),
    ],
)
def test_values_out_of_range_are_refused(name: str, text: str) -> None:
    with pytest.raises((argparse.ArgumentError, argparse.ArgumentTypeError)):
        chosen("--" + name.replace("_", "-"), text)
    with pytest.raises(SettingsError, match=variable(name)):
        chosen(environment={variable(name): text})


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "::", "::ffff:10.0.0.1", "edge-box", "localhost.example"])
def test_a_network_address_needs_keys_or_a_clear_word(host: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--api-keys FILE"):
        chosen("--host", host)
    assert chosen("--host", host, "--api-keys", str(tmp_path)).host == host
    assert chosen("--host", host, "--open-to-network-without-keys").host == host


def test_a_command_that_takes_some_options_reads_no_others() -> None:
    environment = {"EDGEVLM_HOST": "0.0.0.0", "EDGEVLM_PORT": "none", "EDGEVLM_PLANS": "plans"}
    assert from_arguments(argparse.Namespace(), environment, names=("plans",)) == Settings(plans=Path("plans"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    assert is_loopback(host)
    assert chosen("--host", host).host == host


def test_help_shows_sizes_as_people_read_them() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    text = " ".join(parser.format_help().split())
    for name, default in {"max_body": "10 MiB", "image_cache": "64 MiB", "prefix_cache": "256 MiB"}.items():
        assert f"{OPTIONS[name].help} (default: {default})" in text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1000", 1000),
        ("1000B", 1000),
        ("2k", 2048),
        ("2K", 2048),
        ("2Ki", 2048),
        ("2KiB", 2048),
        ("2kb", 2048),
        ("64M", 64 * 2**20),
        ("64 MiB", 64 * 2**20),
        ("1.5g", 3 * 2**29),
        ("6Gi", 6 * 2**30),
        ("6GB", 6 * 2**30),
        (" 6G ", 6 * 2**30),
    ],
)
@pytest.mark.parametrize("name", ["memory", "prefix_cache", "image_cache", "max_body"])
def test_sizes_with_and_without_a_unit(name: str, text: str, size: int) -> None:
    assert OPTIONS[name].parse(text) == size


@pytest.mark.parametrize("text", ["", "G", "1.5", "1T", "-1", "+1", "1e3", "0x10", "1,5G", "1 2", "1GG", "9" * 400])
@pytest.mark.parametrize("name", ["memory", "prefix_cache", "image_cache", "max_body"])
def test_what_is_no_size_is_refused_in_a_sentence(name: str, text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="a size is needed: bytes, or a number with K, M or G"):
        OPTIONS[name].parse(text)


def test_a_size_of_nothing_is_for_caches_alone() -> None:
    environment = {"EDGEVLM_PREFIX_CACHE": "0", "EDGEVLM_IMAGE_CACHE": "0K"}
    settings = chosen(environment=environment)
    assert (settings.prefix_cache, settings.image_cache) == (0, 0)
    for name in ("memory", "max_body"):
        with pytest.raises(argparse.ArgumentTypeError, match="at least 1 byte"):
            OPTIONS[name].parse("0")
