"""Every rendering: lint, Kubernetes' own schemas, both versions of Helm alike, labels, names, references."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate import utils

from tests.chart.cases import CASES
from tests.chart.conftest import Rendered
from tests.chart.helm import VERSIONS, Helm, Manifest, container, one, pod_of
from tests.chart.readme import CHART

APP_VERSION: str = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]

KUBERNETES = ("1.31", "1.34", "1.37")
WITHOUT_SCHEMA = {"ServiceMonitor", "HTTPRoute", "ScaledObject"}
"""Kinds that are not Kubernetes' own; test_around.py looks at them."""


@pytest.fixture(scope="module", autouse=True)
def schemas_are_read_once() -> Iterator[None]:
    """The library parses 2 MB of definitions for each manifest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", lru_cache(maxsize=None)(utils.schema_contents))
        yield


@pytest.mark.parametrize("case", CASES)
def test_lint_finds_nothing(helm: Helm, case: str) -> None:
    assert "0 chart(s) failed" in helm.lint(CASES[case])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(rendered: Rendered, case: str, version: str) -> None:
    checked = 0
    for manifest in rendered(case):
        if manifest["kind"] not in WITHOUT_SCHEMA:
            assert kubernetes_validate.validate(manifest, version, strict=True) == version
            checked += 1
    assert checked >= 3


def test_a_misspelt_field_would_be_found(rendered: Rendered) -> None:
    manifest = dict(one(rendered("open"), "NetworkPolicy"))
    manifest["spec"] = {**manifest["spec"], "egres": []}
    with pytest.raises(kubernetes_validate.ValidationError, match="egres"):
        kubernetes_validate.validate(manifest, KUBERNETES[-1], strict=True)


@pytest.mark.parametrize("case", CASES)
def test_both_versions_of_helm_render_alike(case: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    first, second = (Helm(version, tmp_path_factory.mktemp(version)).render(CASES[case]) for version in VERSIONS)
    assert first == second


@pytest.mark.parametrize("case", CASES)
def test_selectors_find_the_pods_and_no_others(rendered: Rendered, case: str) -> None:
    manifests = rendered(case)
    labels = one(manifests, "StatefulSet")["spec"]["template"]["metadata"]["labels"]
    selectors = list(pod_selectors(manifests))
    assert len(selectors) >= 3
    for selector in selectors:
        assert selector.items() <= labels.items()
        for pod in (m for m in manifests if m["kind"] == "Pod"):
            assert not selector.items() <= pod["metadata"]["labels"].items()


def pod_selectors(manifests: list[Manifest]) -> Iterator[dict[str, str]]:
    """Everything that is meant to find a server's pod."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if manifest["kind"] == "Service":
            yield spec["selector"]
        elif manifest["kind"] in ("StatefulSet", "PodDisruptionBudget"):
            yield spec["selector"]["matchLabels"]
        elif manifest["kind"] == "NetworkPolicy":
            yield spec["podSelector"]["matchLabels"]
    [term] = pod_of(manifests)["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    yield term["labelSelector"]["matchLabels"]


@pytest.mark.parametrize("case", CASES)
def test_mounts_ports_and_services_are_there(rendered: Rendered, case: str) -> None:
    manifests = rendered(case)
    spec = one(manifests, "StatefulSet")["spec"]
    pods = [spec["template"]["spec"], *(m["spec"] for m in manifests if m["kind"] == "Pod")]
    claims = {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", ())}
    for pod in pods:
        volumes = {volume["name"] for volume in pod["volumes"]} | (claims if pod is pods[0] else set())
        mounted = {
            mount["name"] for c in (*pod.get("initContainers", ()), *pod["containers"]) for mount in c["volumeMounts"]
        }
        assert mounted == volumes
    assert one(manifests, "Service", spec["serviceName"])["spec"]["clusterIP"] == "None"
    named = {port["name"] for port in container(manifests, "server")["ports"]}
    for service in (m for m in manifests if m["kind"] == "Service"):
        assert {"http"} <= {port["targetPort"] for port in service["spec"]["ports"]} <= named


@pytest.mark.parametrize("case", CASES)
def test_names_are_short_enough_and_images_are_pinned(rendered: Rendered, case: str) -> None:
    for manifest in rendered(case):
        name = manifest["metadata"]["name"]
        # a pod's own label is this and a dash, ten letters of a hash
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) and len(name) <= 52
        assert manifest["metadata"]["namespace"] == "vision"
        for image in images(manifest):
            assert re.fullmatch(rf"[a-z0-9./-]+:(7|{re.escape(APP_VERSION)}-(cpu|cuda|jetson-jp[67]))", image)


def images(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from ([node["image"]] if "image" in node else [])
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from images(child)


def test_another_release_has_other_names(helm: Helm) -> None:
    manifests = helm.render(CASES["open"], release="line-3")
    assert one(manifests, "StatefulSet")["metadata"]["name"] == "line-3-edgevlm"
