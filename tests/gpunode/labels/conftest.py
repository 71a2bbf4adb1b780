"""`gpunode labels` on a captured host, without its processor, whose flags would be those of the machine of the tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.gpunode.verbs import run_verb
from tests.nfd_lite.conftest import load_host

Show = Callable[..., Result]

RULES = """
apiVersion: nfd.k8s-sigs.io/v1alpha1
kind: NodeFeatureRule
metadata: {name: premium}
spec:
  rules:
    - name: h100
      labels: {premium: "true", vendor.io/kernel: "@kernel.version.major"}
      matchFeatures:
        - feature: node.label
          matchExpressions: {nvidia.com/gpu.product: {op: InRegexp, value: [H100]}}
    - name: nic
      labels: {nic: "true"}
      matchFeatures:
        - feature: pci.device
          matchExpressions: {vendor: {op: In, value: ["1dd8"]}, class: {op: In, value: ["0300"]}}
        - feature: kernel.version
          matchExpressions: {major: {op: Gt, value: ["6"]}}
    - name: any
      labels: {any: "true"}
      matchAny:
        - matchFeatures: [{feature: system.osrelease, matchExpressions: {ID: {op: In, value: [rhel]}}}]
        - matchFeatures: [{feature: cpu.nothing}]
    - name: templated
      labelsTemplate: "{{ range .pci.device }}vendor.io/x-{{ .class }}=1 {{ end }}"
      matchFeatures: [{feature: pci.device, matchExpressions: {class: {op: In, value: ["9999"]}}}]
    - name: refused
      labels: {kubernetes.io/arch: x, bad: "not valid!"}
"""


@pytest.fixture
def show(tmp_path: Path) -> Show:
    """Runs `gpunode labels` on a host of tests/roots. host: its name, or a folder."""

    def run(
        *arguments: str,
        host: str | Path = "xeon-h100",
        simulate: str | None = "h100x8",
        columns: int | None = None,
        sources: str = "all,-cpu",
        stdin: str | None = None,
    ) -> Result:
        root = tmp_path / host if isinstance(host, str) else host
        if not root.exists():
            load_host(str(host), root)
        flags = ["--host-root", str(root), "--lock-dir", str(tmp_path / "lock"), "--feature-sources", sources]
        flags += [] if simulate is None else ["--simulate", simulate]
        return run_verb("labels", *flags, *arguments, columns=columns, stdin=stdin)

    return run


@pytest.fixture
def rules(tmp_path: Path) -> str:
    """A file with NodeFeatureRules."""
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return str(path)
