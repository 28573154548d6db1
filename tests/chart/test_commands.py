"""What the containers are told: the product's own parsers read it, and all of them mean the same folders."""

import argparse
from importlib import import_module
from pathlib import Path

import pytest
from edgevlm_server.images.hosts import ImageHosts
from edgevlm_server.options import variable
from edgevlm_server.service import CLOSE_SECONDS
from edgevlm_server.settings import OPTIONS, Settings, SettingsError, from_arguments

from edgevlm.cli import COMMANDS
from edgevlm.commands.build import SHARED
from tests.chart.cases import CASES, EVERY_SETTING
from tests.chart.conftest import Rendered
from tests.chart.helm import Manifest, container, containers, environment, pod_of


def parsed(container: Manifest) -> argparse.Namespace:
    """A container's command line, as `edgevlm` itself reads it."""
    assert container["command"] == ["edgevlm"]
    command, *arguments = container["args"]
    parser = argparse.ArgumentParser(exit_on_error=False)
    import_module(COMMANDS[command].module).add_arguments(parser)
    return parser.parse_args(arguments)


def settings(container: Manifest) -> Settings:
    return from_arguments(parsed(container), environment(container))


@pytest.mark.parametrize("case", CASES)
def test_every_command_line_and_environment_is_read_by_the_product(rendered: Rendered, case: str) -> None:
    for part in containers(pod_of(rendered(case))):
        arguments = parsed(part)
        ours = {name for name in environment(part) if name.startswith("EDGEVLM_")}
        assert ours <= {variable(name) for name in OPTIONS}
        if part["name"] != "export":
            assert from_arguments(arguments, environment(part)).plans == (
                Path("/var/lib/edgevlm/plans") if "EDGEVLM_PLANS" in ours else None
            )


@pytest.mark.parametrize("case", CASES)
def test_the_server_listens_where_the_probes_and_services_look(rendered: Rendered, case: str) -> None:
    server = container(rendered(case), "server")
    port, *beside = server["ports"]
    asked = settings(server)
    assert (asked.host, asked.port) == ("0.0.0.0", port["containerPort"])
    assert [one["containerPort"] for one in beside] == ([asked.metrics_port] if asked.metrics_port else [])
    assert {server[probe]["httpGet"]["port"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")} == {
        port["name"]
    }


def test_every_setting_arrives(rendered: Rendered) -> None:
    asked = settings(container(rendered("every setting"), "server"))
    assert (asked.engine, asked.provider, asked.threads, asked.no_cuda_graphs) == ("ort", "cpu", 2, True)
    assert (asked.max_batch, asked.max_length, asked.max_queue, asked.max_images) == (3, 1_500_000, 0, 2)
    assert (asked.max_body, asked.image_cache, asked.prefix_cache) == (5 * 2**20, 0, 3 * 2**29)
    assert (asked.memory, asked.drain_timeout, asked.engine_timeout) == (3 * 2**30, 12.5, 90)
    assert (asked.log_level, asked.no_page) == ("debug", True)
    assert asked.image_hosts == ImageHosts.parse("camera.example:8080,10.0.0.0/8")
    assert (asked.metrics_host, asked.metrics_port, asked.metrics_clients) == ("0.0.0.0", 9090, True)
    assert (asked.metrics_aliases, asked.log_format) == ("vllm", "text")
    limits = (asked.limit_requests_at_once, asked.limit_requests_per_minute, asked.limit_tokens_per_minute)
    assert (*limits, asked.limit_pictures_kept, asked.request_timeout) == (4, 60, 1_500_000, 20, 120.5)
    assert asked.min_confidence == 0.25
    assert asked.otlp_endpoint == "http://10.0.0.9:4318"
    assert len(EVERY_SETTING) == 41


def test_with_a_certificate_everyone_speaks_https(rendered: Rendered) -> None:
    manifests = rendered("encrypted")
    server = container(manifests, "server")
    asked = settings(server)
    [mount] = [one["mountPath"] for one in server["volumeMounts"] if one["name"] == "tls"]
    assert (asked.tls_cert, asked.tls_key) == (Path(mount) / "tls.crt", Path(mount) / "tls.key")

    probes = [server[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert {probe["scheme"] for probe in probes} == {"HTTPS"}
    plain = container(rendered("keys"), "server")
    assert plain["startupProbe"]["httpGet"]["scheme"] == "HTTP"


def test_stations_are_a_mounted_configmap(rendered: Rendered) -> None:
    manifests = rendered("everything")
    [volume] = [one for one in pod_of(manifests)["volumes"] if one["name"] == "stations"]
    assert volume["configMap"] == {"name": "presses"}
    server = container(manifests, "server")
    [mount] = [one for one in server["volumeMounts"] if one["name"] == "stations"]
    assert mount["readOnly"] and settings(server).stations == Path(mount["mountPath"])


def test_without_values_the_server_has_its_own_defaults(rendered: Rendered) -> None:
    server = settings(container(rendered("open"), "server"))
    assert server == Settings(host="0.0.0.0", open_to_network_without_keys=True)


def test_the_builder_is_told_what_the_server_will_ask_for(rendered: Rendered) -> None:
    build, server = (settings(container(rendered("every setting"), name)) for name in ("build", "server"))
    for name in SHARED:
        assert getattr(build, name) == getattr(server, name)
    assert (build.max_batch, build.max_length) == (3, 1_500_000)


def test_a_bundle_is_built_and_served_from_the_mounted_folder(rendered: Rendered) -> None:
    manifests = rendered("bundle on a Jetson")
    assert parsed(container(manifests, "build")).bundle == Path("/models/v2")
    assert parsed(container(manifests, "server")).model == Path("/models/v2")
    [volume] = [v for v in pod_of(manifests)["volumes"] if v["name"] == "models"]
    assert volume["hostPath"] == {"path": "/srv/models", "type": "Directory"}


def test_a_checkpoint_is_exported_then_built_then_served(rendered: Rendered) -> None:
    manifests = rendered("checkpoint")
    assert [c["name"] for c in containers(pod_of(manifests))] == ["export", "build", "server"]
    export, build, server = (parsed(c) for c in containers(pod_of(manifests)))
    assert export.bundle == build.bundle == server.model
    assert export.bundle.parent == Path("/var/lib/edgevlm/bundles")
    assert (export.checkpoint, export.vision_tower) == (Path("/models/published/v1"), Path("/models/clip"))
    assert (export.device, export.precision, export.vision_precision) == ("jetpack7", "int8", "fp16")
    assert (export.name, export.if_absent, export.report) == ("-odd name-", True, False)
    assert (build.workspace, build.level) == (512 * 2**20, 0)


def test_other_options_of_the_exporter_are_another_bundle(rendered: Rendered) -> None:
    first, second = (parsed(container(rendered(c), "server")).model for c in ("checkpoint", "checkpoint on a CPU"))
    assert first != second


@pytest.mark.parametrize(
    ("case", "names"),
    [
        ("open", ["server"]),
        ("one-box", ["build", "server"]),
        ("several-devices", ["export", "build", "server"]),
        ("the server builds", ["server"]),
        ("checkpoint on a CPU", ["export", "server"]),
        ("plugin", ["server"]),
    ],
)
def test_only_a_jetson_builds_and_only_a_checkpoint_is_exported(
    rendered: Rendered, case: str, names: list[str]
) -> None:
    assert [c["name"] for c in containers(pod_of(rendered(case)))] == names


def test_the_keys_file_is_where_the_server_looks(rendered: Rendered) -> None:
    manifests = rendered("keys")
    server = container(manifests, "server")
    asked = settings(server)
    [mount] = [m for m in server["volumeMounts"] if m["name"] == "keys"]
    [volume] = [v for v in pod_of(manifests)["volumes"] if v["name"] == "keys"]
    assert asked.api_keys == Path(mount["mountPath"]) / volume["secret"]["items"][0]["path"]
    assert not asked.open_to_network_without_keys and mount["readOnly"]
    # readable for the pod's group and nobody else
    assert volume["secret"]["defaultMode"] == 0o440


def test_links_to_the_service_would_stop_the_server(rendered: Rendered) -> None:
    """Why enableServiceLinks is off: a service named edgevlm makes the variable EDGEVLM_PORT in every pod."""
    server = container(rendered("open"), "server")
    arguments = parsed(server)
    arguments.port = None
    linked = {**environment(server), "EDGEVLM_PORT": "tcp://10.0.0.1:8000"}
    with pytest.raises(SettingsError, match="EDGEVLM_PORT"):
        from_arguments(arguments, linked)
    for case in CASES:
        for pod in (pod_of(rendered(case)), *(m["spec"] for m in rendered(case) if m["kind"] == "Pod")):
            assert pod["enableServiceLinks"] is False


@pytest.mark.parametrize("case", CASES)
def test_the_grace_period_outlasts_the_drain(rendered: Rendered, case: str) -> None:
    server = container(rendered(case), "server")
    before = server.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert before == (0 if case == "not kept" else 5)
    # after the drain: closing the engine, and uvicorn's connections, which have as long
    needed = before + settings(server).drain_timeout + 2 * CLOSE_SECONDS
    assert pod_of(rendered(case))["terminationGracePeriodSeconds"] >= needed + 5
