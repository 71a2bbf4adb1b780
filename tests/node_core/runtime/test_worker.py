import pytest

from node_core.domain.backoff import Backoff
from node_core.runtime.services import Services
from node_core.runtime.worker import Worker
from tests.waiting import until


class Numbers(Worker):
    """A worker for the numbers in `todo`. fails: the number of first steps that fail. crash: a step raises an exception."""

    def __init__(self, fails: int = 0, crash: bool = False) -> None:
        self.todo: list[int] = []
        self.done: list[int] = []
        self._fails, self._crash = fails, crash
        super().__init__("numbers", Services(chance=lambda: 0.5), retries=Backoff(first=0.001, maximum=0.004))

    def give(self, number: int) -> None:
        with self._changed:
            self.todo.append(number)
            self._changed.notify_all()

    def step(self) -> bool:
        if self._crash:
            raise SystemExit
        if self._fails:
            self._fails -= 1
            return self._failed("number_refused", ValueError("not yet"))
        self.done.append(self.todo.pop(0))
        return self._succeeded()

    def _has_work(self) -> bool:
        return bool(self.todo)


def test_a_worker_runs_until_the_work_is_done_and_again_for_new_work() -> None:
    worker = Numbers()
    worker.give(1)
    worker.start()
    until(lambda: worker.done == [1])
    worker.give(2)
    until(lambda: worker.done == [1, 2])
    assert worker.liveness_problem() is None
    worker.stop()
    assert not worker._thread.is_alive()
    assert worker.liveness_problem() is None


def test_a_failed_step_is_retried_and_a_success_resets_the_number_of_failures() -> None:
    worker = Numbers(fails=3)
    worker.give(1)
    worker.start()
    until(lambda: worker.done == [1])
    worker.stop()
    assert worker._failures == 0


def test_a_worker_does_not_prevent_the_end_of_the_process() -> None:
    assert Numbers()._thread.daemon


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_ended_is_a_problem() -> None:
    worker = Numbers(crash=True)
    worker.give(1)
    worker.start()
    until(lambda: worker.liveness_problem() == "the thread numbers has ended")
    worker.stop()
