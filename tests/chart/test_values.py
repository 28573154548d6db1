"""What may be set: unknown keys, wrong types and contradictions are refused; the README and the server agree."""

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from edgevlm_engines.names import Device, Precision, VisionPrecision
from edgevlm_server.settings import OPTIONS

from tests.chart.cases import CHECKPOINT, EVERY_SETTING, JETSON, KEYS, OPEN
from tests.chart.helm import Helm, Refused
from tests.chart.readme import CHART, values, with_table

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES = (CHART / "values.yaml").read_text()
OWN = {
    *("host", "port", "plans", "api_keys", "tls_cert", "tls_key", "open_to_network_without_keys"),
    "stations",
    "metrics_host",
}
"""Settings that the chart makes from its other values."""


def groups(schema: dict[str, Any] = SCHEMA, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every group of values that has names of its own."""
    if "properties" in schema:
        yield path
        for name, inner in schema["properties"].items():
            yield from groups(inner, (*path, name))


def nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    return dict(value)


@pytest.mark.parametrize("path", list(groups()), ids=".".join)
def test_an_unknown_key_is_refused_in_every_group(helm: Helm, path: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match="misspelt"):
        helm.render({**OPEN, **nested((*path, "misspelt"), 1)})


@pytest.mark.parametrize(
    "values",
    [
        {"device": "jetpack5"},
        {"replicas": "two"},
        {"replicas": -1},
        {"image": {"tag": 7}},
        {"image": {"pullPolicy": "Sometimes"}},
        {"model": {"volume": {"hostPath": "relative"}}},
        {"build": {"level": 6}},
        {"apiKeys": {"existingSecret": "Not A Name"}},
        {"apiKeys": {"file": "../keys"}},
        {"settings": {"maxBatch": 0}},
        {"settings": {"maxBatch": "8"}},
        {"settings": {"memory": "4GB of it"}},
        {"settings": {"memory": 4}},
        {"settings": {"drainTimeout": -1}},
        {"settings": {"logLevel": "loud"}},
        {"gpu": {"groups": ["video"]}},
        {"storage": {"size": "much"}},
        {"resources": {"limits": {"memory": None, "cpu": []}}},
        {"tolerations": ["all"]},
        {"runAsUser": 0},
        {"service": {"port": 65536}},
        {"service": {"type": "ExternalName"}},
        {"httpRoute": {"requestTimeout": "5 minutes"}},
        {"podDisruptionBudget": {"maxUnavailable": 0}},
        {"keda": {"prometheus": "prometheus:9090"}},
        {"preStopSeconds": "5"},
    ],
    ids=json.dumps,
)
def test_a_value_that_cannot_be_is_refused(helm: Helm, values: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"(?i)schema|at '/"):
        helm.render({**OPEN, **values})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "set apiKeys.existingSecret, or openToNetworkWithoutKeys"),
        ({**KEYS, **OPEN}, "contradict each other"),
        ({**OPEN, "device": "jetpack6"}, "The demo model runs on cpu and cuda only"),
        ({**OPEN, "model": {"path": "v2"}}, "set model.source to one of them"),
        ({**OPEN, "model": {"source": "bundle"}}, "model.path must name its folder"),
        ({**OPEN, "model": {"source": "bundle", "path": "v2"}}, "The model needs one volume"),
        (
            {**OPEN, "model": {"source": "bundle", "path": "v", "volume": {"existingClaim": "a", "hostPath": "/b"}}},
            "The model needs one volume",
        ),
        (
            {**OPEN, "model": {"source": "bundle", "path": "../etc", "volume": {"hostPath": "/b"}}},
            "must stay inside the volume",
        ),
        ({**JETSON, "model": {**JETSON["model"], "export": {"name": "x"}}}, "model.export is for a checkpoint"),
        ({**OPEN, "service": {"nodePort": 30000}}, "set service.type"),
        ({**OPEN, "ingress": {"tlsSecret": "x"}}, "set ingress.host"),
        ({**OPEN, "httpRoute": {"enabled": True}}, "must name a gateway"),
        ({**KEYS, "serviceMonitor": {"enabled": True}}, "set serviceMonitor.keySecret"),
        ({**OPEN, "settings": {"imageHosts": "camera"}}, "imageHosts needs a way out"),
        ({**OPEN, "settings": {"otlpEndpoint": "http://c"}}, "otlpEndpoint needs a way out"),
        ({**OPEN, "settings": {"metricsPort": 8000}}, "choose another"),
        ({**OPEN, "keda": {"enabled": True}}, "must be the address of Prometheus"),
        (
            {**OPEN, "keda": {"enabled": True, "prometheus": "http://p", "minReplicas": 3}},
            "more than keda.maxReplicas",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused_in_a_sentence(
    helm: Helm, values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Refused) as refused:
        helm.render(values)
    assert sentence in str(refused.value)


def test_the_default_values_are_the_schemas_and_each_is_explained() -> None:
    documented = {value.name for value in values(VALUES)}
    listed = {
        ".".join((*path, name))
        for path in groups()
        for name in (SCHEMA if not path else at(path))["properties"]
        if path != ("resources",) and name != "global"
    }
    assert documented == listed
    for value in values(VALUES):
        assert value.comment or value.default is None, f"{value.name} has no comment"


def at(path: tuple[str, ...]) -> dict[str, Any]:
    schema = SCHEMA
    for name in path:
        schema = schema["properties"][name]
    return schema


def test_every_group_refuses_what_it_does_not_know() -> None:
    assert all(at(path)["additionalProperties"] is False for path in groups())


def test_the_readme_has_the_table_of_values() -> None:
    readme = (CHART / "README.md").read_text()
    assert with_table(readme, VALUES) == readme, "run `make fix`"


def test_every_setting_of_the_server_can_be_set_and_no_other() -> None:
    snake = {re.sub("([A-Z])", r"_\1", name).lower() for name in at(("settings",))["properties"]}
    assert snake | OWN == set(OPTIONS) and not snake & OWN
    assert set(EVERY_SETTING) == set(at(("settings",))["properties"])


def test_choices_are_those_of_the_product() -> None:
    for name, schema in at(("settings",))["properties"].items():
        option = OPTIONS[re.sub("([A-Z])", r"_\1", name).lower()]
        if option.choices:
            assert set(schema["enum"]) == {*option.choices, None}
    # there is no image with TensorRT-RTX
    assert SCHEMA["properties"]["device"]["enum"] == [device for device in get_args(Device) if device != "rtx"]
    export = at(("model", "export"))["properties"]
    assert set(export["precision"]["enum"]) == {"", *get_args(Precision)}
    assert set(export["visionPrecision"]["enum"]) == {"", *get_args(VisionPrecision)}


@pytest.mark.parametrize("name", ["bundles/v1", "v1/"])
def test_odd_paths_are_made_plain(helm: Helm, name: str) -> None:
    model = {**CHECKPOINT["model"], "path": name}
    [manifest] = [m for m in helm.render({**CHECKPOINT, "model": model}) if m["kind"] == "StatefulSet"]
    export = manifest["spec"]["template"]["spec"]["initContainers"][0]["args"]
    assert export[-2] == f"/models/{name.rstrip('/')}" and "/bundles/v1-" in export[-1]


def test_other_files_at_the_same_path_get_a_bundle_of_their_own(helm: Helm) -> None:
    def bundle(**more: object) -> str:
        model = {**CHECKPOINT["model"], **more}
        [manifest] = [m for m in helm.render({**CHECKPOINT, "model": model}) if m["kind"] == "StatefulSet"]
        pod = manifest["spec"]["template"]["spec"]
        names = {command["args"][-1] for command in pod["initContainers"] if "/bundles/" in command["args"][-1]}
        assert len(names) == 1 and names <= {*pod["containers"][0]["args"]}
        return str(names.pop())

    assert bundle() == bundle() == bundle(revision="")
    assert len({bundle(), bundle(revision="2"), bundle(revision="3")}) == 3
