"""The changes of an MPS folder, from the desired and the observed state."""

import pytest

from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.resources import GPU
from gpu_core.mps.changes import MpsChange, MpsObserved, MpsState, plan_mps_changes
from gpu_core.mps.spec import MpsDaemonSpec, MpsGpu

ONE, TWO = GpuUuid("GPU-1"), GpuUuid("GPU-2")
WANTED = MpsDaemonSpec(resource=GPU, gpus=(MpsGpu(uuid=ONE, memory_mib=8, replicas=2),))
OTHER = MpsDaemonSpec(resource=GPU, gpus=(MpsGpu(uuid=ONE, memory_mib=8, replicas=4),))
OURS = MpsState(modes={ONE: 0}, pid=7, settings=WANTED.settings)
UNFINISHED = MpsState(modes={ONE: 0}, pid=7)
WITH_ANOTHER_GPU = MpsState(modes={ONE: 0, TWO: 0}, pid=7, settings=OTHER.settings)
QUIT, RESTORE, START = MpsChange.QUIT, MpsChange.RESTORE, MpsChange.START


@pytest.mark.parametrize(
    ("desired", "state", "is_alive", "changes"),
    [
        pytest.param(WANTED, None, False, (START,), id="empty folder"),
        pytest.param(WANTED, OURS, True, (), id="own daemon, as desired"),
        pytest.param(WANTED, OURS, False, (START,), id="own daemon, ended"),
        pytest.param(OTHER, OURS, True, (QUIT, START), id="own daemon, other limits"),
        pytest.param(WANTED, UNFINISHED, True, (QUIT, START), id="own daemon, limits not accepted"),
        pytest.param(WANTED, WITH_ANOTHER_GPU, True, (QUIT, RESTORE, START), id="own daemon, GPUs no longer shared"),
        pytest.param(WANTED, None, True, (), id="daemon of another program"),
        pytest.param(None, None, True, (), id="daemon of another program, none desired"),
        pytest.param(None, None, False, (), id="empty folder, none desired"),
        pytest.param(None, OURS, True, (QUIT, RESTORE), id="own daemon, none desired"),
        pytest.param(None, OURS, False, (RESTORE,), id="compute modes of a killed process"),
    ],
)  # fmt: skip
def test_a_folder_gets_only_the_changes_that_it_needs(
    desired: MpsDaemonSpec | None, state: MpsState | None, is_alive: bool, changes: tuple[MpsChange, ...]
) -> None:
    assert plan_mps_changes(desired, MpsObserved(state=state, is_alive=is_alive)) == changes
