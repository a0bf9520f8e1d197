"""deploy/ is true: the live network through Debian's own Prometheus, and every file checked.

`make test-deploy` installs the Debian package; without it these tests are skipped, visibly.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
BIN = ROOT / ".venv" / "bin"
METRIC = re.compile(r"\bmuniment_[a-z0-9_]+|\bup\b")
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="needs Debian's prometheus; `make test-deploy` installs it",
)


def run(
    *words: str, cwd: Path | None = None, home: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """A command; `home` becomes MUNIMENT_HOME."""
    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=cwd,
        env=None if home is None else {**os.environ, "MUNIMENT_HOME": str(home)},
        stdin=subprocess.DEVNULL,
    )


def dashboard() -> dict[str, Any]:
    value: dict[str, Any] = json.loads((DEPLOY / "grafana/dashboards/network.json").read_text())
    return value


def panel_queries() -> list[str]:
    """Every query, with the dashboard's variables filled in."""
    queries = []
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            text = target["expr"].replace("$job", "muniment").replace("$instance", ".*")
            queries.append(text.replace("$__rate_interval", "20s"))
    return queries


def alert_rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_every_panel_says_what_it_shows() -> None:
    board = dashboard()
    assert board["editable"] is False
    names = {item["name"] for item in board["templating"]["list"]}
    assert names == {"datasource", "job", "instance"}
    for panel in board["panels"]:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        for target in panel["targets"]:
            assert 'job="$job"' in target["expr"]
            assert 'instance=~"$instance"' in target["expr"]


def test_every_alert_has_a_runbook_and_a_unit_test() -> None:
    runbook = (ROOT / "docs/operations/alerts.md").read_text()
    tests = (DEPLOY / "prometheus/alerts_test.yml").read_text()
    for rule in alert_rules():
        assert f"## {rule['alert']}\n" in runbook
        assert f"alertname: {rule['alert']}" in tests
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_compose_starts_what_the_command_line_knows(tmp_path: Path) -> None:
    compose = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())
    provision = [
        word.replace("/var/lib/muniment", str(tmp_path))
        for word in compose["services"]["provision"]["command"]
    ]
    done = run(str(BIN / "munimentd"), *provision)
    assert done.returncode == 0, done.stderr
    genesis = json.loads((tmp_path / "net/node-0/genesis.json").read_text())
    hosts = [member["address"] for member in genesis["members"]]
    assert hosts == [f"val-{index}:26656" for index in range(4)]
    for index in range(4):
        service = compose["services"][f"val-{index}"]
        assert "command" not in service  # the image's own, whose health check finds this home too
        variable = service["environment"]["MUNIMENT_HOME"]
        home = Path(variable.replace("/var/lib/muniment", str(tmp_path)))
        checked = run(str(BIN / "munimentd"), "config", "validate", home=home)
        assert checked.returncode == 0, checked.stderr
        shown = run(str(BIN / "munimentd"), "config", "show", "--json", home=home)
        config = json.loads(shown.stdout)["data"]
        for part in ("p2p", "rpc", "metrics"):  # for the other containers and published ports
            assert config[part]["listen"].startswith("0.0.0.0:")
        assert {"127.0.0.1", f"val-{index}"} <= set(config["rpc"]["allowed_hosts"])
    prometheus = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    targets = prometheus["scrape_configs"][0]["static_configs"][0]["targets"]
    assert targets == [f"val-{index}:26660" for index in range(4)]


def test_the_container_file_copies_every_package() -> None:
    text = (DEPLOY / "container/Containerfile").read_text()
    for package in ("ledger", "consensus", "p2p", "node"):
        assert f"COPY {package} {package}" in text
    assert "USER 10001" in text
    assert 'ENTRYPOINT ["munimentd"]\nCMD ["start"]' in text


def test_the_unit_never_restarts_into_a_safety_stop() -> None:
    text = (DEPLOY / "systemd/munimentd@.service").read_text()
    assert "RestartPreventExitStatus=7 64 74 78" in text
    assert "Type=notify" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_unit_is_confined() -> None:
    unit = DEPLOY / "systemd/munimentd@.service"
    done = run("systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


@needs_prometheus
def test_the_rules_pass_their_tests() -> None:
    folder = DEPLOY / "prometheus"
    assert run("promtool", "check", "config", "prometheus.yml", cwd=folder).returncode == 0
    done = run("promtool", "test", "rules", "alerts_test.yml", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


class Live:
    """A network with a Prometheus that scrapes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "net"
        done = run(
            *(str(BIN / "munimentd"), "testnet", "up", "--validators", "4"),
            *("--home", str(self.home), "--detach", "--json"),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.info = json.loads(done.stdout)["data"]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        targets = [node["metrics"].split("/")[2] for node in self.info["nodes"]]
        config["scrape_configs"][0]["static_configs"][0]["targets"] = targets
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        shutil.copy(DEPLOY / "prometheus/alerts.yml", folder / "alerts.yml")
        self.prometheus = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def query(self, expression: str) -> list[Any]:
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode(
            {"query": expression}
        )
        with urllib.request.urlopen(url, timeout=10) as response:
            result: list[Any] = json.loads(response.read())["data"]["result"]
        return result

    def register_documents(self) -> None:
        """Some traffic, spread over ten seconds."""
        environment = {"MUNIMENT_CLIENT_HOME": str(self.folder / "client"), "PATH": "/usr/bin:/bin"}
        client = [str(BIN / "muniment")]
        net = str(self.home / "net.json")
        subprocess.run(
            [*client, "profile", "add", "t", "--info-file", net, "--use"],
            env=environment,
            check=True,
            capture_output=True,
        )
        for number in range(8):
            path = self.folder / f"document-{number}"
            path.write_text(str(number))
            subprocess.run(
                [*client, "document", "register", str(path)],
                env=environment,
                check=True,
                capture_output=True,
            )
            time.sleep(1)

    def close(self) -> None:
        self.prometheus.terminate()
        self.prometheus.wait(timeout=20)
        run(str(BIN / "munimentd"), "testnet", "clean", "--home", str(self.home))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    network = Live(tmp_path_factory.mktemp("live"))
    try:
        network.register_documents()
        yield network
    finally:
        network.close()


@needs_prometheus
@pytest.mark.process
def test_every_panel_and_alert_finds_data(live: Live) -> None:
    deadline = time.monotonic() + 30
    missing = panel_queries()
    while missing and time.monotonic() < deadline:
        missing = [query for query in missing if not live.query(query)]
        time.sleep(0.5)
    assert missing == []
    for rule in alert_rules():
        # An alert that does not fire returns nothing; what it is made of must be there.
        for metric in sorted(set(METRIC.findall(rule["expr"]))):
            assert live.query(f"count({metric})"), metric


@needs_prometheus
@pytest.mark.process
def test_the_exposition_passes_promtool(live: Live) -> None:
    with urllib.request.urlopen(live.info["nodes"][0]["metrics"], timeout=10) as response:
        text = response.read()
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )
    ours = [line for line in done.stdout.decode().splitlines() if line.startswith("muniment_")]
    assert ours == [], ours


@needs_prometheus
@pytest.mark.process
def test_a_dead_validator_raises_its_alert(live: Live) -> None:
    run(str(BIN / "munimentd"), "testnet", "kill", "3", "--home", str(live.home))
    deadline = time.monotonic() + 30
    found: list[Any] = []
    while not found and time.monotonic() < deadline:
        found = live.query('ALERTS{alertname="MunimentValidatorDown"}')
        time.sleep(0.5)
    assert found
