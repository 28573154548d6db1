"""Settings: flags over environment over defaults, bounds, and the refusal to serve a network without keys."""

import argparse
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest
from edgevlm_server.settings import (
    OPTIONS,
    Settings,
    SettingsError,
    add_arguments,
    from_arguments,
    is_loopback,
    variable,
)


def chosen(*argv: str, environment: Mapping[str, str] | None = None) -> Settings:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    return from_arguments(parser.parse_args(argv), environment or {})


def test_every_setting_has_an_option() -> None:
    assert [field.name for field in fields(Settings)] == list(OPTIONS)


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
        ("port", "0", 0),
        ("engine", "echo", "echo"),
        ("provider", "cuda", "cuda"),
        ("threads", "4", 4),
        ("max_batch", "16", 16),
        ("max_length", "512", 512),
        ("max_queue", "0", 0),
        ("max_images", "0", 0),
        ("max_body", "1000", 1000),
        ("image_cache", "0", 0),
        ("drain_timeout", "1.5", 1.5),
        ("engine_timeout", "30", 30.0),
        ("api_keys", "keys", Path("keys")),
        ("open_to_network_without_keys", "yes", True),
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
        ("max_batch", "0"),
        ("max_batch", "many"),
        ("max_length", "0"),
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


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    assert is_loopback(host)
    assert chosen("--host", host).host == host
