"""A real Prometheus scrapes a server: its counts are the clients' own, and it understands every expression."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.monitoring.expressions_in_use import ALERTS, in_dashboard, in_rules
from tests.monitoring.prometheus import FOLDER, Prometheus, prometheus
from tests.monitoring.served import CLIENTS, Seen, Watched, load

ROUNDS = 40


@pytest.fixture(scope="module")
def scraper(server: Watched, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    target = server.server.url.removeprefix("http://")
    with prometheus(tmp_path_factory.mktemp("prometheus"), target, server.keys["camera-1"]) as made:
        yield made


@pytest.fixture(scope="module")
def seen(server: Watched, scraper: Prometheus) -> list[Seen]:
    """Once Prometheus has read what came of it."""
    scraper.scrape_again()
    answers = load(server, ROUNDS)
    # what began with the load has a rate only once it was read twice
    for _ in range(2):
        scraper.scrape_again()
    return answers


def test_its_counts_are_those_of_the_clients(scraper: Prometheus, seen: list[Seen]) -> None:
    statuses = Counter((one.route, str(one.status)) for one in seen)
    assert set(statuses) == {(route, status) for route, status in statuses if status in ("200", "400", "401", "404")}
    counted = scraper.values('edgevlm_http_requests_total{route!="/metrics"} > 0', "route", "status")
    assert counted == statuses
    answered = [one for one in seen if one.status == 200]
    assert scraper.values("edgevlm_requests_completed_total") == {(): len(answered)}
    assert scraper.values("edgevlm_prompt_tokens_total") == {(): sum(one.prompt for one in answered)}
    assert scraper.values("edgevlm_generation_tokens_total") == {(): sum(one.generated for one in answered)}
    assert scraper.values("edgevlm_time_to_first_token_seconds_count") == {(): len(answered)}
    assert scraper.values("edgevlm_unauthorized_requests_total") == {(): statuses["/v1/chat/completions", "401"]}


def test_its_counts_by_client_are_those_of_each(scraper: Prometheus, seen: list[Seen]) -> None:
    for client in CLIENTS:
        mine = [one for one in seen if one.client == client and one.status == 200]
        tokens = scraper.values(f'edgevlm_client_generation_tokens_total{{client="{client}"}}')
        assert tokens == {(): sum(one.generated for one in mine)}
        answered = scraper.values(f'edgevlm_client_requests_total{{client="{client}", outcome="refused"}}')
        assert answered == {(): sum(one.client == client and one.status == 400 for one in seen)}


def test_the_ledger_balances(scraper: Prometheus, seen: list[Seen]) -> None:
    ended = "edgevlm_requests_completed_total + edgevlm_requests_failed_total + edgevlm_requests_cancelled_total"
    assert scraper.values(f"edgevlm_requests_accepted_total - ({ended})") == {(): 0}
    refused = "sum without (reason) (edgevlm_admission_rejections_total)"
    assert scraper.values(f"edgevlm_requests_received_total - edgevlm_requests_accepted_total - {refused}") == {(): 0}


def test_it_understands_every_expression_of_the_dashboard(scraper: Prometheus, seen: list[Seen]) -> None:
    for used in in_dashboard():
        scraper.ask(used.expression)


def test_panels_are_not_empty(scraper: Prometheus, seen: list[Seen]) -> None:
    """But for what did not happen here: pictures and a decision."""
    empty = {used.purpose for used in in_dashboard() if not scraper.ask(used.expression)}
    assert empty == {
        *("Where the time goes", "Found in caches"),
        *("Confidence of decisions", "Would it answer so by itself?"),
    }


def test_it_follows_every_rule_and_none_is_raised(scraper: Prometheus, seen: list[Seen]) -> None:
    rules = scraper.rules()
    assert len(rules) == len(in_rules())
    for rule in rules:
        assert rule["health"] == "ok", rule
        # pending are those that a load of seconds begins: keys that are wrong, and an Orin whose events are counted
        assert rule.get("state", "inactive") in ("inactive", "pending"), rule


def test_promtool_finds_configuration_and_rules_good() -> None:
    for kind, name in (("config", "prometheus.yaml"), ("rules", "rules.yaml")):
        done = subprocess.run(["promtool", "check", kind, FOLDER / name], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_rules_do_what_they_say() -> None:
    cases = Path(__file__).with_name("rules_test.yaml")
    done = subprocess.run(["promtool", "test", "rules", cases], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tried() -> None:
    cases = Path(__file__).with_name("rules_test.yaml").read_text()
    assert [alert["alert"] for alert in ALERTS if alert["alert"] not in cases] == []
