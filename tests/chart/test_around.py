"""What stands around the pods: services, ways in, network policy, metrics, scaling. Each is there when asked for."""

import json
import re

import pytest
import yaml
from edgevlm_server.http.operation import scraping
from edgevlm_server.observe.metrics import Metrics
from fastapi.routing import APIRoute

from tests.chart.cases import KEYS, OPEN
from tests.chart.conftest import Rendered
from tests.chart.helm import Helm, container, one
from tests.monitoring import dashboard
from tests.monitoring.expressions_in_use import ALERTS, RULES_FILE


@pytest.mark.parametrize(
    ("case", "kinds"),
    [
        ("open", {"NetworkPolicy", "PodDisruptionBudget", "ConfigMap", "Pod"}),
        ("nothing beside", set()),
        (
            "everything",
            {
                *("NetworkPolicy", "PodDisruptionBudget", "ConfigMap", "Pod"),
                *("Ingress", "HTTPRoute", "ServiceMonitor", "ScaledObject", "PrometheusRule"),
            },
        ),
    ],
)
def test_what_was_asked_for_is_there(rendered: Rendered, case: str, kinds: set[str]) -> None:
    assert {m["kind"] for m in rendered(case)} == {"StatefulSet", "Service"} | kinds


def test_one_address_for_those_that_are_ready_and_one_name_for_each(rendered: Rendered) -> None:
    manifests = rendered("everything")
    shared, single = (one(manifests, "Service", name)["spec"] for name in ("edgevlm", "edgevlm-devices"))
    assert (shared["type"], shared["ports"][0]["port"], shared["ports"][0]["nodePort"]) == ("LoadBalancer", 80, 30001)
    assert "publishNotReadyAddresses" not in shared and single["publishNotReadyAddresses"] is True
    assert one(rendered("open"), "Service", "edgevlm")["spec"]["type"] == "ClusterIP"


def test_the_ingress_leads_to_the_service(rendered: Rendered) -> None:
    ingress = one(rendered("several-devices"), "Ingress")
    [rule] = ingress["spec"]["rules"]
    [path] = rule["http"]["paths"]
    assert path["backend"]["service"] == {"name": "edgevlm", "port": {"name": "http"}}
    assert rule["host"] == "vlm.factory.example" and ingress["spec"]["ingressClassName"] == "traefik"
    assert ingress["spec"]["tls"] == [{"hosts": ["vlm.factory.example"], "secretName": "vlm-certificate"}]
    bare = one(rendered("bare ingress"), "Ingress")["spec"]
    assert set(bare) == {"rules"} and set(bare["rules"][0]) == {"http"}


def test_the_route_leads_to_the_service(rendered: Rendered) -> None:
    spec = one(rendered("everything"), "HTTPRoute")["spec"]
    assert spec["parentRefs"] == [{"name": "site", "namespace": "edge"}] and spec["hostnames"] == ["a.example"]
    [rule] = spec["rules"]
    assert rule["backendRefs"] == [{"name": "edgevlm", "port": 80}]
    assert rule["timeouts"] == {"request": "300s"}


def test_nothing_gets_out_and_only_the_servers_port_is_reached(rendered: Rendered) -> None:
    spec = one(rendered("open"), "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"] and spec["egress"] == []
    assert spec["ingress"] == [{"ports": [{"protocol": "TCP", "port": "http"}]}]


def test_the_server_goes_only_where_it_was_let(rendered: Rendered) -> None:
    spec = one(rendered("every setting"), "NetworkPolicy")["spec"]
    assert spec["egress"] == [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]


def test_who_may_come_in_is_who_was_named_and_the_releases_own_tests(rendered: Rendered) -> None:
    manifests = rendered("everything")
    [rule] = one(manifests, "NetworkPolicy")["spec"]["ingress"]
    network, tests = rule["from"]
    assert network == {"ipBlock": {"cidr": "10.0.0.0/8"}}
    for pod in (m for m in manifests if m["kind"] == "Pod"):
        assert tests["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


def test_a_node_with_a_device_that_cannot_start_can_be_drained(rendered: Rendered) -> None:
    spec = one(rendered("open"), "PodDisruptionBudget")["spec"]
    assert (spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def test_prometheus_reads_each_device_once_with_a_key(rendered: Rendered) -> None:
    manifests = rendered("everything")
    monitor = one(manifests, "ServiceMonitor")
    [endpoint] = monitor["spec"]["endpoints"]
    selector = monitor["spec"]["selector"]["matchLabels"].items()
    found = [m for m in manifests if m["kind"] == "Service" and selector <= m["metadata"]["labels"].items()]
    assert [service["metadata"]["name"] for service in found] == ["edgevlm-devices"]
    assert endpoint["port"] == found[0]["spec"]["ports"][0]["name"]
    assert endpoint["path"] in {route.path for route in scraping.routes if isinstance(route, APIRoute)}
    assert endpoint["authorization"] == {"credentials": {"name": "scrape", "key": "key"}}
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert "authorization" not in one(rendered("bare ingress"), "ServiceMonitor")["spec"]["endpoints"][0]


def test_a_port_for_metrics_is_read_without_a_key(helm: Helm) -> None:
    manifests = helm.render({**KEYS, "settings": {"metricsPort": 9090}, "serviceMonitor": {"enabled": True}})
    [endpoint] = one(manifests, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["port"] == "metrics" and "authorization" not in endpoint
    devices, public = one(manifests, "Service", "edgevlm-devices"), one(manifests, "Service", "edgevlm")
    assert {"name": "metrics", "port": 9090, "targetPort": "metrics"} in devices["spec"]["ports"]
    assert [port["name"] for port in public["spec"]["ports"]] == ["http"], "not for everyone"
    [rule] = one(manifests, "NetworkPolicy")["spec"]["ingress"]
    assert [port["port"] for port in rule["ports"]] == ["http", "metrics"]
    server = container(manifests, "server")
    assert {"name": "metrics", "containerPort": 9090} in server["ports"]
    told = {variable["name"]: variable.get("value") for variable in server["env"]}
    assert (told["EDGEVLM_METRICS_PORT"], told["EDGEVLM_METRICS_HOST"]) == ("9090", "0.0.0.0")


@pytest.mark.parametrize("port", [None, 9090])
def test_what_is_scraped_is_encrypted_where_its_port_is(helm: Helm, port: int | None) -> None:
    settings = {"metricsPort": port} if port else {}
    monitor = {"enabled": True, "keySecret": "" if port else "prometheus"}
    encrypted = {"settings": settings, "tls": {"existingSecret": "tls"}, "serviceMonitor": monitor}
    [endpoint] = one(helm.render({**KEYS, **encrypted}), "ServiceMonitor")["spec"]["endpoints"]
    assert ("scheme" in endpoint, "tlsConfig" in endpoint) == ((False, False) if port else (True, True))


def test_scaling_asks_for_a_metric_that_the_server_has(rendered: Rendered) -> None:
    manifests = rendered("everything")
    spec, target = one(manifests, "ScaledObject")["spec"], one(manifests, "StatefulSet")
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "edgevlm"}
    # a number in the set would undo the scaling at each upgrade
    assert "replicas" not in target["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 5)
    [trigger] = spec["triggers"]
    query = re.fullmatch(r'sum\((\w+)\{namespace="vision",service="([a-z-]+)"\}\)', trigger["metadata"]["query"])
    assert query is not None and f"\n{query[1]} 0.0" in Metrics().text().decode()
    assert one(manifests, "Service", query[2])
    assert (trigger["metricType"], trigger["metadata"]["threshold"]) == ("AverageValue", "4")


def test_helm_test_asks_for_a_whole_answer_and_a_stream(rendered: Rendered) -> None:
    manifests = rendered("everything")
    pods = [m for m in manifests if m["kind"] == "Pod"]
    assert [pod["spec"]["containers"][0]["args"][-1] for pod in pods] == ["whole", "stream"]
    [files] = [m for m in manifests if m["kind"] == "ConfigMap" and "binaryData" in m]
    for pod in pods:
        [part] = pod["spec"]["containers"]
        assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
        script, url, picture, _ = part["args"]
        assert (script, url, picture) == ("/test/ask.py", "http://edgevlm:80", "/test/picture.jpg")
        assert {*files["data"], *files["binaryData"]} == {"ask.py", "picture.jpg"}
        variables = {v["name"]: v for v in part["env"]}
        assert variables["ASK_KEYS"]["value"] == "yes"
        assert variables["ASK_KEY"]["valueFrom"]["secretKeyRef"] == {"name": "test", "key": "key"}
        assert part["image"] == container(manifests, "server")["image"]


def test_the_notes_say_what_holds_for_these_values(helm4: Helm) -> None:
    notes = helm4.notes({**KEYS, "replicas": 3, "tests": {"enabled": False}})
    assert "on 3 device(s)" in notes and "Bearer $KEY" in notes
    assert "helm --namespace" not in notes and "build" not in notes
    assert "may use it" in helm4.notes(OPEN)


def test_rules_and_dashboard_are_those_of_the_repository(rendered: Rendered) -> None:
    manifests = rendered("everything")
    rule = one(manifests, "PrometheusRule")
    assert rule["spec"] == yaml.safe_load(RULES_FILE.read_text())
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    board = one(manifests, "ConfigMap", "edgevlm-dashboard")
    assert json.loads(board["data"]["edgevlm.json"]) == json.loads(dashboard.FILE.read_text())
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_alerts_find_what_the_monitor_reads(rendered: Rendered) -> None:
    """A ServiceMonitor's job is the name of the service."""
    [down] = [alert for alert in ALERTS if alert["alert"] == "EdgevlmDown"]
    pattern = re.search(r'job=~"(.+?)"', down["expr"])
    assert pattern is not None
    scraped = one(rendered("everything"), "Service", "edgevlm-devices")["metadata"]["name"]
    assert re.fullmatch(pattern[1], scraped)
