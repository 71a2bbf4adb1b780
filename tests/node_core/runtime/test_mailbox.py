"""The queue of an agent: order, coalescing and waiting."""

import threading

import pytest

from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, Resync, Stop, Wake
from tests.waiting import until


@pytest.fixture
def mailbox() -> Mailbox[AgentMessage]:
    return Mailbox()


@pytest.mark.parametrize(
    ("posted", "received"),
    [
        ([], []),
        ([Resync(), Wake(), Stop()], [Resync(), Wake(), Stop()]),
        ([Resync(), Wake(), Resync(), Resync()], [Wake(), Resync()]),
        ([Stop()] * 1000, [Stop()]),
    ],
    ids=["empty", "different types", "repeated type", "one type"],
)
def test_the_newest_message_of_each_type_is_received_in_order(
    mailbox: Mailbox[AgentMessage], posted: list[AgentMessage], received: list[AgentMessage]
) -> None:
    for message in posted:
        mailbox.post(message)
    assert [mailbox.get(0) for _ in range(len(received) + 1)] == [*received, None]


def test_of_two_messages_of_a_type_the_newer_one_is_received() -> None:
    mailbox: Mailbox[str | int] = Mailbox()
    for message in ("old", 1, "new"):
        mailbox.post(message)
    assert [mailbox.get(0), mailbox.get(0)] == [1, "new"]


def test_waiting_for_a_type_removes_no_message(mailbox: Mailbox[AgentMessage]) -> None:
    assert not mailbox.wait_for(Stop, 0)
    mailbox.post(Resync())
    assert not mailbox.wait_for(Stop, 0)
    mailbox.post(Stop())
    assert mailbox.wait_for(Stop, 0)
    assert [mailbox.get(0), mailbox.get(0)] == [Resync(), Stop()]


def test_a_message_wakes_the_reader(mailbox: Mailbox[AgentMessage]) -> None:
    received: list[AgentMessage | None] = []

    def read() -> None:
        while not isinstance(message := mailbox.get(), Stop):
            received.append(message)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    for _ in range(3):
        mailbox.post(Wake())
        until(lambda: received)
        assert received.pop() == Wake()
    mailbox.post(Stop())
    until(lambda: not reader.is_alive())
