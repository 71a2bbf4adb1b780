"""A real Prometheus that scrapes one address, and promtool. Both are built from their Go module at the first use."""

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.cluster.build import build, cache_folder
from tests.e2e.cluster.pins import PROMETHEUS, PROMTOOL, Binary

MONITORING = Path(__file__).parents[2] / "manifests" / "monitoring"
STOP_S = 30
ANSWER_S = 10
STARTING = 503
"""The status of a Prometheus that does not accept queries yet."""
LINT_PROBLEMS = 3
"""The status of `promtool check metrics` if the metrics are valid and only their names or labels are unusual."""
UNUSUAL = (
    'should have "_total" suffix',
    "label names should be written in 'snake_case'",
    "metric name should not include type 'counter'",
)
"""Names of dcgm-exporter, which cannot change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One element of the result of a query."""

    labels: dict[str, str]
    value: float


class Prometheus:
    """A running Prometheus. address: `host:port`."""

    def __init__(self, address: str) -> None:
        self._address = address

    def query(self, expression: str) -> list[Sample]:
        """Evaluates PromQL now. Returns nothing if Prometheus does not respond yet."""
        query = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"http://{self._address}/api/v1/query?{query}", timeout=ANSWER_S) as answer:
                result = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            if error.code == STARTING:
                return []
            raise AssertionError(f"{expression}: {error.read().decode()}") from error
        except OSError:
            return []
        return [Sample(labels=each["metric"], value=float(each["value"][1])) for each in result]


@contextlib.contextmanager
def scraping(target: str, node: str) -> Iterator[Prometheus]:
    """Runs Prometheus with the alerts and the settings of the ServiceMonitor. target: `host:port`. node: the value of the label `node`."""
    address = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory(prefix="prometheus-") as name:
        folder = Path(name)
        (folder / "rules.yml").write_text(render_rules())
        (folder / "prometheus.yml").write_text(json.dumps(render_config(target, node)))
        command = [
            program(PROMETHEUS), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
        ]  # fmt: skip
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        try:
            yield Prometheus(address)
        except BaseException:
            sys.stderr.write((folder / "log").read_text()[-2000:])
            raise
        finally:
            process.terminate()
            process.wait(timeout=STOP_S)


def render_config(target: str, node: str) -> dict[str, Any]:
    """Renders the configuration. The labels of the pod of gpu-exporter are dropped, as by the ServiceMonitor."""
    (endpoint,) = yaml.safe_load((MONITORING / "service-monitor.yaml").read_text())["spec"]["endpoints"]
    of_target = {"node": node, "pod": "gpu-exporter-x", "namespace": "gpunode", "container": "gpu-exporter"}
    dropped = [each for each in endpoint["relabelings"] if each.get("action") == "labeldrop"]
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [
            {
                "job_name": "gpu-exporter",
                "honor_labels": endpoint["honorLabels"],
                "metrics_path": endpoint["path"],
                "static_configs": [{"targets": [target], "labels": of_target}],
                "relabel_configs": dropped,
            }
        ],
    }


def render_rules() -> str:
    """Returns the alerts as a file of Prometheus, without the object of Kubernetes."""
    return yaml.safe_dump(yaml.safe_load((MONITORING / "rules.yaml").read_text())["spec"])


def check_metrics(address: str) -> list[str]:
    """Returns what promtool reports about the metrics at an address, without unusual names."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=ANSWER_S) as answer:
        text = answer.read()
    done = subprocess.run([program(PROMTOOL), "check", "metrics"], input=text, capture_output=True, check=False)
    if done.returncode not in (0, LINT_PROBLEMS):
        raise AssertionError(done.stderr.decode())
    lines = (done.stdout + done.stderr).decode().splitlines()
    return [line for line in lines if not any(each in line for each in UNUSUAL)]


def check_rules() -> str:
    """Returns the output of `promtool check rules`. Raises CalledProcessError if an alert is not valid."""
    with tempfile.TemporaryDirectory(prefix="prometheus-") as name:
        rules = Path(name, "rules.yml")
        rules.write_text(render_rules())
        done = subprocess.run([program(PROMTOOL), "check", "rules", rules], capture_output=True, text=True, check=True)
    return done.stdout


def check_expression(expression: str) -> None:
    """Raises AssertionError if an expression is not PromQL."""
    command = [program(PROMTOOL), "--experimental", "promql", "format", expression]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{expression}: {done.stderr}")


def program(binary: Binary) -> str:
    folder = build(cache_folder(), lambda line: print(line, file=sys.stderr), (binary,))
    return str(folder / binary.name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
