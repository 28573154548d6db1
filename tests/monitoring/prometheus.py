"""A real Prometheus with the repository's configuration and rules, on one server, asked through its API."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

from edgevlm.own_server import free_port
from tests.boundaries.walls import ROOT
from tests.server.engines import until

FOLDER = ROOT / "docker/monitoring"


class Prometheus:
    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=f"{url}/api/v1", timeout=30)

    def close(self) -> None:
        self._http.close()

    def ready(self) -> bool:
        try:
            return self._http.get("/status/buildinfo").status_code == 200
        except httpx.HTTPError:
            return False

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """What it answers now: series with their labels and values. Fails if it does not understand."""
        answer = self._http.get("/query", params={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def values(self, expression: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Of every series by these labels."""
        return {
            tuple(one["metric"].get(label, "") for label in labels): float(one["value"][1])
            for one in self.ask(expression)
        }

    def rules(self) -> list[dict[str, Any]]:
        groups = self._http.get("/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def scrape_again(self) -> None:
        """Wait until it has read all that has happened before this call, and has followed its rules."""
        now = time.time()
        until(lambda: min(self.values("min(timestamp(up) and (up == 1))").values(), default=0) > now, "a scrape")
        until(lambda: all(_seconds(rule["lastEvaluation"]) > now for rule in self.rules()), "the rules")


def _seconds(text: str) -> float:
    """Of a time with more digits than Python reads; before the first evaluation it is one of the year 1."""
    return 0.0 if text.startswith("0001") else datetime.fromisoformat(f"{text[:19]}+00:00").timestamp()


@contextmanager
def prometheus(folder: Path, target: str, key: str) -> Iterator[Prometheus]:
    """Scrapes `target` with a key every three seconds; all else is as in docker/monitoring."""
    settings = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    # a scrape may take as long as the interval is, and one that takes longer empties every series
    settings["global"] = {"scrape_interval": "3s", "evaluation_interval": "1s"}
    [job] = settings["scrape_configs"]
    job |= {"static_configs": [{"targets": [target]}], "authorization": {"credentials": key}}
    settings["rule_files"] = [str(FOLDER / name) for name in settings["rule_files"]]
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings))
    address = f"127.0.0.1:{free_port()}"
    command = ["prometheus", f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log)
        made = Prometheus(f"http://{address}")
        try:
            until(lambda: made.ready() or process.poll() is not None, "Prometheus")
            assert process.poll() is None, (folder / "log").read_text()
            yield made
        finally:
            made.close()
            process.terminate()
            process.wait(120)
