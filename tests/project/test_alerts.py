"""The alert rules and the dashboard: valid, based on metrics of the service, and firing when they should."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from authsvc.telemetry.metrics import Metrics
from tests.support import needed
from tests.support.docs import ENGLISH
from tests.telemetry.test_metrics import gauged

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS, DASHBOARD = DEPLOY / "alerts.yaml", DEPLOY / "grafana.json"


def promtool(*arguments: str, given: str = "") -> None:
    done = subprocess.run(
        [needed.program("promtool"), *arguments], input=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [rule["expr"] for rule in rules()] + [target["expr"] for panel in panels for target in panel["targets"]]


def test_the_rules_are_valid() -> None:
    """Prometheus itself takes them."""
    promtool("check", "rules", str(ALERTS))


def test_every_metric_exists() -> None:
    """No rule and no panel uses a metric that does not exist."""
    counted = Metrics()
    gauged(counted)
    named = set(re.findall(r"^# TYPE (\w+)", counted.text().decode(), re.MULTILINE))
    for expression in expressions():
        for name in re.findall(r"\bauthsvc_\w+", expression):
            assert {name, name.removesuffix("_bucket")} & named, name


def test_the_guide_lists_all_metrics() -> None:
    """The table of docs/operate.md has every metric, and no other."""
    counted = Metrics()
    gauged(counted)
    named = {
        name
        for name in re.findall(r"^# TYPE (\w+)", counted.text().decode(), re.MULTILINE)
        if not name.endswith("_created")
    }
    rows = ENGLISH.page("operate").rows(r"\| `authsvc_")
    assert set(re.findall(r"`(authsvc_\w+)`", "\n".join(rows))) == named


def test_the_names_are_as_prometheus_wants_them(tmp_path: Path) -> None:
    """Its linter finds nothing."""
    counted = Metrics()
    gauged(counted)
    promtool("check", "metrics", given=counted.text().decode())


def test_every_panel_can_be_drawn() -> None:
    """Each has its place, and asks the data source that the reader chose."""
    dashboard = json.loads(DASHBOARD.read_text())
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(places)
    for expression in expressions():
        assert expression.count("(") == expression.count(")")
        assert expression.count("{") == expression.count("}")


def series(name: str, values: str) -> dict[str, str]:
    return {"series": name, "values": values}


@pytest.mark.parametrize(
    ("alert", "shown", "labels"),
    [
        ("AuthsvcStoreUnavailable", [('authsvc_ready{check="store",instance="a"}', "0x20")], {"instance": "a"}),
        ("AuthsvcStoreUnavailable", [('authsvc_ready{check="store",instance="a"}', "1x20")], None),
        (
            "AuthsvcSecretsDiffer",
            [
                ('authsvc_master_secret_workers{appkey="k",fingerprint="old"}', "1x20"),
                ('authsvc_master_secret_workers{appkey="k",fingerprint="new"}', "1x20"),
            ],
            {"appkey": "k"},
        ),
        (
            "AuthsvcSecretsDiffer",
            [
                ('authsvc_master_secret_workers{appkey="k",fingerprint="old"}', "0x20"),
                ('authsvc_master_secret_workers{appkey="k",fingerprint="new"}', "2x20"),
            ],
            None,
        ),
        ("AuthsvcFails", [('authsvc_requests_total{instance="a",status="500"}', "_x11 7x9")], {"instance": "a"}),
        ("AuthsvcFails", [('authsvc_requests_total{instance="a",status="500"}', "7x20")], None),
        ("AuthsvcFails", [('authsvc_requests_total{instance="a",status="500"}', "7x12 8x8")], {"instance": "a"}),
        ("AuthsvcFails", [('authsvc_requests_total{instance="a",status="503"}', "_x11 7x9")], None),
        ("AuthsvcClockSkewed", [('authsvc_clock_offset_seconds{instance="a"}', "-11x20")], {"instance": "a"}),
        (
            "AuthsvcVendorRefuses",
            [('authsvc_refusals_total{instance="a",refusal="vendor-refused"}', "0+60x20")],
            {"instance": "a"},
        ),
        (
            "AuthsvcAccountsTaken",
            [('authsvc_refusals_total{instance="a",refusal="account-taken"}', "0+2x20")],
            {"instance": "a"},
        ),
        ("AuthsvcAccountsTaken", [('authsvc_refusals_total{instance="a",refusal="account-taken"}', "0x10 1x10")], None),
        (
            "AuthsvcLoginFails",
            [
                ('authsvc_login_calls_total{instance="a",outcome="user"}', "0+60x20"),
                ('authsvc_login_calls_total{instance="a",outcome="failed"}', "0+10x20"),
            ],
            {"instance": "a"},
        ),
        (
            "AuthsvcLoginFails",
            [
                ('authsvc_login_calls_total{instance="a",outcome="user"}', "0+60x20"),
                ('authsvc_login_calls_total{instance="a",outcome="failed"}', "0+1x20"),
            ],
            None,
        ),
    ],
)
def test_alerts(tmp_path: Path, alert: str, shown: list[tuple[str, str]], labels: dict[str, str] | None) -> None:
    """They fire on what they are for, and on nothing less; after fifteen minutes of it."""
    (rule,) = [rule for rule in rules() if rule["alert"] == alert]
    expected = []
    if labels is not None:
        (summary,) = [
            re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], rule["annotations"]["summary"])
        ]
        given = {"check": "store"} if alert == "AuthsvcStoreUnavailable" else {}
        expected = [
            {
                "exp_labels": labels | given | rule["labels"],
                "exp_annotations": rule["annotations"] | {"summary": summary},
            }
        ]
    test = {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [series(*one) for one in shown],
                "alert_rule_test": [{"eval_time": "15m", "alertname": alert, "exp_alerts": expected}],
            }
        ],
    }
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump(test))
    promtool("test", "rules", str(path))
