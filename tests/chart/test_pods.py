"""The server's pods: what they may do, how they are probed, where they run, what they keep."""

import inspect
from pathlib import Path

import pytest
import yaml
from edgevlm_engines.trt.target import system_release
from edgevlm_server.device.power_modes import CONFIGURATION, STATUS
from edgevlm_server.http.operation import probes
from fastapi.routing import APIRoute

from tests.chart.cases import CASES
from tests.chart.conftest import Rendered
from tests.chart.helm import Helm, container, containers, environment, one, pod_of
from tests.chart.readme import CHART

PROBE_ROUTES = {route.path for route in probes.routes if isinstance(route, APIRoute)}
"""The only routes that answer without a key."""

RELEASE = inspect.signature(system_release).parameters["path"].default


@pytest.mark.parametrize("case", CASES)
def test_every_container_is_locked_down(rendered: Rendered, case: str) -> None:
    for pod in (pod_of(rendered(case)), *(m["spec"] for m in rendered(case) if m["kind"] == "Pod")):
        assert pod["automountServiceAccountToken"] is False
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True and context["runAsUser"] == context["fsGroup"] == 10001
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        for part in containers(pod):
            assert part["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert part["resources"]["limits"]["memory"] and part["resources"]["requests"]["cpu"]


@pytest.mark.parametrize("case", CASES)
def test_no_secret_stands_in_clear(rendered: Rendered, case: str) -> None:
    manifests = rendered(case)
    assert not [m for m in manifests if m["kind"] == "Secret"]
    for pod in (pod_of(manifests), *(m["spec"] for m in manifests if m["kind"] == "Pod")):
        for part in containers(pod):
            for variable in part["env"]:
                assert variable["name"] != "ASK_KEY" or "secretKeyRef" in variable["valueFrom"]


@pytest.mark.parametrize("case", CASES)
def test_only_what_is_mounted_is_written_to(rendered: Rendered, case: str) -> None:
    """The root is read only: caches, plans and the home have to be on volumes that can be written."""
    for part in containers(pod_of(rendered(case))):
        writable = [m["mountPath"] for m in part["volumeMounts"] if not m.get("readOnly")]
        assert sorted(writable) == ["/tmp", "/var/lib/edgevlm"]
        variables = environment(part)
        for name in ("HOME", "XDG_CACHE_HOME", "EDGEVLM_PLANS"):
            assert name not in variables or any(f"{variables[name]}/".startswith(f"{w}/") for w in writable)
        assert {"HOME", "XDG_CACHE_HOME"} <= set(variables)


@pytest.mark.parametrize("case", CASES)
def test_probes_ask_routes_that_need_no_key(rendered: Rendered, case: str) -> None:
    server = container(rendered(case), "server")
    paths = {probe: server[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")}
    # a server that loads or is full must not be killed: liveness asks for the process alone
    assert paths == {"startup": "/ready", "liveness": "/health", "readiness": "/ready"}
    assert set(paths.values()) <= PROBE_ROUTES


def test_a_start_has_as_long_as_it_was_given(helm: Helm) -> None:
    server = container(
        helm.render({**CASES["open"], "probes": {"startupSeconds": 3601, "livenessSeconds": 15}}), "server"
    )
    startup, liveness = server["startupProbe"], server["livenessProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 3605
    assert liveness["periodSeconds"] * liveness["failureThreshold"] == 20


def test_the_last_line_of_a_failed_start_is_shown(rendered: Rendered) -> None:
    for part in containers(pod_of(rendered("checkpoint"))):
        assert part["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_one_pod_a_device_which_stops_before_the_next_one_starts(rendered: Rendered) -> None:
    spec = one(rendered("several-devices"), "StatefulSet")["spec"]
    [term] = spec["template"]["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert (spec["replicas"], spec["podManagementPolicy"]) == (4, "Parallel")
    assert spec["updateStrategy"] == {"type": "RollingUpdate"}


def test_jetsons_are_arm64_nodes_with_the_label_that_was_asked_for(rendered: Rendered) -> None:
    pod = pod_of(rendered("several-devices"))
    assert pod["nodeSelector"] == {
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "arm64",
        "edgevlm/device": "jetpack7",
    }
    assert pod["tolerations"] == [{"key": "edgevlm/device", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod_of(rendered("open"))["nodeSelector"] == {"kubernetes.io/os": "linux"}


def test_the_gpu_comes_by_the_runtime_class(rendered: Rendered) -> None:
    pod = pod_of(rendered("one-box"))
    assert pod["runtimeClassName"] == "nvidia"
    assert pod["securityContext"]["supplementalGroups"] == [44]
    for part in containers(pod):
        assert environment(part)["NVIDIA_VISIBLE_DEVICES"] == "all"
        assert part["resources"]["limits"] == {"memory": "10Gi"}


def test_a_jetson_sees_its_release_where_the_product_looks(rendered: Rendered) -> None:
    pod = pod_of(rendered("one-box"))
    assert {"name": "release", "hostPath": {"path": str(RELEASE), "type": "File"}} in pod["volumes"]
    for part in containers(pod):
        assert {"name": "release", "mountPath": str(RELEASE), "readOnly": True} in part["volumeMounts"]
    assert "release" not in {volume["name"] for volume in pod_of(rendered("checkpoint on a CPU"))["volumes"]}


def test_a_jetsons_server_sees_its_power_mode_where_the_product_looks(rendered: Rendered) -> None:
    pod = pod_of(rendered("one-box"))
    folder = str(Path(STATUS).parent)
    [server] = pod["containers"]
    for name, path, kind in (("power-modes", CONFIGURATION, "File"), ("power-mode", folder, "DirectoryOrCreate")):
        assert {"name": name, "hostPath": {"path": path, "type": kind}} in pod["volumes"]
        assert {"name": name, "mountPath": path, "readOnly": True} in server["volumeMounts"]
    assert "nvpmodel" not in str(pod_of(rendered("checkpoint on a CPU")))


def test_the_gpu_comes_by_a_plugin_to_all_that_use_it(rendered: Rendered) -> None:
    pod = pod_of(rendered("several-devices"))
    for part in containers(pod):
        # the plugin says which: the variable would show every GPU
        assert "NVIDIA_VISIBLE_DEVICES" not in environment(part)
        assert part["resources"]["limits"] == {"memory": "12Gi", "nvidia.com/gpu": 1}
    assert "runtimeClassName" not in pod_of(rendered("plugin"))


def test_a_cpu_has_nothing_of_a_gpu(rendered: Rendered) -> None:
    pod = pod_of(rendered("checkpoint on a CPU"))
    assert "runtimeClassName" not in pod and "supplementalGroups" not in pod["securityContext"]
    for part in containers(pod):
        assert not [name for name in environment(part) if name.startswith("NVIDIA")]


def test_plans_and_models_stay_with_the_device(rendered: Rendered) -> None:
    spec = one(rendered("one-box"), "StatefulSet")["spec"]
    [claim] = spec["volumeClaimTemplates"]
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "local-path",
        "resources": {"requests": {"storage": "16Gi"}},
    }
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}


def test_without_storage_nothing_is_claimed(rendered: Rendered) -> None:
    spec = one(rendered("not kept"), "StatefulSet")["spec"]
    assert "volumeClaimTemplates" not in spec
    assert {"name": "state", "emptyDir": {"sizeLimit": "16Gi"}} in spec["template"]["spec"]["volumes"]


def test_a_new_version_of_the_chart_alone_restarts_no_device(rendered: Rendered) -> None:
    template = one(rendered("open"), "StatefulSet")["spec"]["template"]
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    assert not [text for text in template["metadata"]["labels"].values() if version in text]


def test_what_pods_are_given_besides(rendered: Rendered) -> None:
    template = one(rendered("everything"), "StatefulSet")["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "vision"
    assert template["metadata"]["annotations"] == {"a.example/b": "c"}
    pod = template["spec"]
    assert pod["priorityClassName"] == "line"
    assert pod["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]
    assert {c["imagePullPolicy"] for c in containers(pod)} == {"Always"}
