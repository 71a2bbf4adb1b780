"""Doctor reads /readyz and /healthz of the agent, also over TLS."""

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gpunode.doctor.health_port import check_health_port, failing_checks
from node_core.runtime.certificate_files import CertificateFiles
from node_core.runtime.http import HealthServer
from node_core.runtime.metrics import Metrics
from node_core.runtime.readiness import Readiness
from simulation.apiserver.certificate import make_certificate


@pytest.fixture
def readiness() -> Readiness:
    readiness = Readiness()
    readiness.report("gpu-device-plugin/node", None)
    return readiness


@pytest.fixture
def server(readiness: Readiness) -> Iterator[HealthServer]:
    server = HealthServer("127.0.0.1:0", readiness, Metrics())
    server.start()
    yield server
    server.stop()


def test_an_agent_without_problems_is_ok(server: HealthServer) -> None:
    (check,) = check_health_port(f"127.0.0.1:{server.port}", None)
    assert check.status == "ok"


def test_each_failing_check_is_a_problem(server: HealthServer, readiness: Readiness) -> None:
    readiness.report("gpu-device-plugin/kubelet", "nvidia.com/gpu: refused")
    readiness.add_liveness_check(lambda: "the thread of gpu-device-plugin has ended")
    first, second = check_health_port(f"127.0.0.1:{server.port}", None)
    assert (first.status, first.sentence) == ("problem", "gpu-device-plugin/kubelet: nvidia.com/gpu: refused")
    assert (second.status, second.sentence) == ("problem", "the thread of gpu-device-plugin has ended")


def test_over_tls_only_the_certificate_of_the_agent_is_trusted(tmp_path: Path, readiness: Readiness) -> None:
    files = {}
    for name in ("agent", "other"):
        pair = make_certificate(datetime.now(UTC))
        files[name] = tmp_path / f"{name}.crt", tmp_path / f"{name}.key"
        files[name][0].write_text(pair.certificate)
        files[name][1].write_text(pair.key)
    server = HealthServer("127.0.0.1:0", readiness, Metrics(), context=CertificateFiles(*files["agent"]).context)
    server.start()
    (check,) = check_health_port(f":{server.port}", files["agent"][0])
    (refused,) = check_health_port(f":{server.port}", files["other"][0])
    server.stop()
    assert check.status == "ok"
    assert refused.status == "problem"


@pytest.mark.parametrize("response", [b"", b"SSH-2.0-x\r\n"])
def test_another_program_at_the_port_is_a_problem(response: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(response)

        thread = threading.Thread(target=answer)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        (check,) = check_health_port(address, None)
        thread.join()
    assert check.status == "problem"
    assert check.sentence.startswith(f"gpu-device-plugin does not respond at {address}: ")


def test_a_page_of_another_program_is_one_problem() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + b"<p>\n" * 1000)

        thread = threading.Thread(target=answer)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        (check,) = check_health_port(address, None)
        thread.join()
    assert check.sentence == f"the program at {address} is not gpu-device-plugin: /readyz has another format"


def test_a_closed_port_is_a_problem() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    (check,) = check_health_port(f"127.0.0.1:{port}", None)
    assert check.sentence == f"gpu-device-plugin does not respond at 127.0.0.1:{port}: Connection refused"


def test_lines_without_a_problem_are_ignored() -> None:
    assert failing_checks("[+]a ok\n[-]a/b why: x\nnot ready\n[-]\n") == ["a/b: why: x", ": "]
