"""The page for several devices: commands can be parsed, names exist, figures are those of the configuration."""

import argparse
import re
import shlex
from importlib import import_module
from pathlib import Path

from edgevlm_server.observe.metrics import Metrics
from edgevlm_server.settings import Settings

from benchmarks.nginx import Tls, site_text
from benchmarks.site import AFFINITY
from edgevlm.cli import COMMANDS
from tests.boundaries.walls import ROOT

TEXT = (ROOT / "docs/site.md").read_text(encoding="utf-8")
SITE = (ROOT / "docs/nginx-site.conf").read_text(encoding="utf-8")


def directive(name: str) -> str:
    [found] = re.findall(rf"^ *{name} +([^;]+);", SITE, re.MULTILINE)
    return str(found)


def test_every_edgevlm_command_can_be_parsed() -> None:
    lines = [line.split("# ")[0] for line in re.findall(r"^ +(edgevlm .+)$", TEXT, re.MULTILINE)]
    assert {shlex.split(line)[1] for line in lines} == {"keys", "serve"}
    for line in lines:
        _, command, *arguments = shlex.split(line)
        parser = argparse.ArgumentParser(exit_on_error=False)
        import_module(COMMANDS[command].module).add_arguments(parser)
        parser.parse_args(arguments)


def test_names_of_metrics_exist() -> None:
    exported = Metrics().text().decode()
    names = re.findall(r"`(edgevlm_\w+)`", TEXT)
    assert len(names) >= 3
    for name in names:
        assert f"\n{name}" in exported, name


def test_the_proxy_fits_the_devices_defaults() -> None:
    settings = Settings()
    for name in ("client_max_body_size", "client_body_buffer_size"):
        assert directive(name) == f"{settings.max_body // 2**20}m"
    assert set(re.findall(r"max_conns=(\d+)", SITE)) == {str(2 * settings.max_batch)}
    assert 2 * settings.max_batch <= settings.max_batch + settings.max_queue
    assert f"(`TimeoutStopSec={settings.drain_timeout + 15:.0f}`)" in TEXT


def test_the_page_tells_the_configurations_figures() -> None:
    assert f"silent for {directive('proxy_read_timeout').removesuffix('s')} s" in TEXT
    assert f"within {directive('proxy_next_upstream_timeout').removesuffix('s')} s of a request" in TEXT
    assert f"give up connecting after {directive('proxy_connect_timeout').removesuffix('s')} s" in TEXT
    assert set(re.findall(r"fail_timeout=(\d+)s", SITE)) == {"5"} and "every 5 s" in TEXT
    assert directive("proxy_next_upstream_tries") == "2" and "two devices at most" in TEXT
    assert f"`{AFFINITY}`" in TEXT and f"$http_{AFFINITY.replace('-', '_')}" in SITE


def test_tests_change_addresses_and_files_alone(tmp_path: Path) -> None:
    """What runs in tests is what the page shows."""
    devices = ["192.0.2.11:8000", "192.0.2.12:8000", "192.0.2.13:8000"]
    ran = site_text(devices, 443, tmp_path, Tls(tmp_path / "edgevlm.crt", tmp_path / "edgevlm.key"))
    ran = ran.replace(str(tmp_path / "access.log"), "/var/log/nginx/edgevlm.log").replace(str(tmp_path), "/etc/nginx")
    assert ran.replace("listen 127.0.0.1:443 ssl", "listen 443 ssl") == SITE
