"""The main thread handles signals that arrive at any time in any thread."""

import subprocess
import sys

import pytest

from tests.signals import DEFAULT_SIGNALS

ELSEWHERE = """
import signal, threading, time
from node_core.runtime.signals import SignalQueue

signals = SignalQueue()
CODE
print([signals.get() for _ in range(3)])
"""
IN_ANOTHER_THREAD = """
def send():
    for number in (signal.SIGHUP, signal.SIGTERM):
        time.sleep(0.2)  # the main thread waits by then, and nothing interrupts the call that it waits in
        signal.pthread_kill(threading.get_ident(), number)
    signals.post(0)

threading.Thread(target=send, daemon=True).start()
"""
BEFORE_THE_WAIT = """
for number in (signal.SIGHUP, signal.SIGTERM):
    signal.raise_signal(number)
signals.post(0)
"""


@pytest.mark.parametrize("code", [IN_ANOTHER_THREAD, BEFORE_THE_WAIT], ids=["another-thread", "before-the-wait"])
def test_no_signal_is_lost_and_their_order_stays(code: str) -> None:
    program = ELSEWHERE.replace("CODE", code)
    ended = subprocess.run(
        [*DEFAULT_SIGNALS, sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30
    )
    assert (ended.stdout, ended.stderr) == ("[1, 15, 0]\n", "")
