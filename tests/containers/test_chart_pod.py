"""The pod that the chart renders, run by podman: its command, environment, user, limits and mounts are the chart's.

What a cluster does around it (volumes of its own, probes, the group of a volume's files) is done here by hand, and
says nothing of a cluster.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.chart.helm import Helm, Manifest, pod_of
from tests.containers.podman import ROOT, Container, Podman


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return pod_of(Helm("helm4", tmp_path_factory.mktemp("helm")).render({"openToNetworkWithoutKeys": True}))


@pytest.fixture(scope="module")
def served(podman: Podman, cpu_image: str, pod: Manifest) -> Iterator[Container]:
    [container] = pod["containers"]
    command = [*container["command"][1:], *container["args"]]
    with (
        podman.volume() as volume,
        podman.running(cpu_image, *options(pod, container, volume), command=command) as running,
    ):
        running.until_ready()
        yield running


def options(pod: Manifest, container: Manifest, volume: str) -> list[str]:
    """A container's settings in podman's words; `TIGHT` has the capabilities, the root and the privileges."""
    user, lockdown = pod["securityContext"], container["securityContext"]
    assert lockdown["readOnlyRootFilesystem"] and not lockdown["allowPrivilegeEscalation"]
    assert lockdown["capabilities"] == {"drop": ["ALL"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == {"state", "tmp"}
    return [
        f"--entrypoint={json.dumps(container['command'][:1])}",
        f"--user={user['runAsUser']}:{user['runAsGroup']}",
        f"--memory={container['resources']['limits']['memory'].removesuffix('i').lower()}",
        *(f"--env={entry['name']}={entry['value']}" for entry in container["env"]),
        # U gives the volume to the user, as a cluster does by fsGroup
        f"--volume={volume}:{mounts['state']}:U",
        f"--tmpfs={mounts['tmp']}",
    ]


def test_it_answers_about_a_picture(served: Container) -> None:
    body = json.loads(Path(ROOT / "examples/display.json").read_text())
    reply = httpx.post(f"{served.url}/v1/chat/completions", json=body, timeout=60)
    assert reply.json()["choices"][0]["message"]["content"] == "834.2"


def test_its_probes_are_answered(served: Container, pod: Manifest) -> None:
    [container] = pod["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert httpx.get(served.url + container[probe]["httpGet"]["path"], timeout=60).status_code == 200


def test_it_is_the_chart_s_user_and_writes_where_the_chart_says(served: Container, pod: Manifest) -> None:
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{served.pid}/status").read_text().splitlines())
    assert status["Uid"].split() == [str(pod["securityContext"]["runAsUser"])] * 4
    assert int(status["CapEff"], 16) == 0
    # the demo model's bundle lies in the cache that the chart mounts
    assert (
        "demo-"
        in served.exec("python3", "-c", "import os; print(os.listdir('/var/lib/edgevlm/cache/edgevlm'))").stdout
    )
    assert "Read-only" in served.exec("python3", "-c", "open('/file', 'w')").stderr
