"""The CDI specification of each claim. Its devices are those of the claim, `k8s.gpu.nvidia.com/claim=<uid>-<device>`.

NVIDIA's DRA driver uses the same names. A claim has its own file, because the container runtime reads all files of the folder.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from dra_driver.claims.ref import is_uid
from gpu_core.cdi.write import write_changed
from gpu_core.domain.cdi import CdiDevice, Edits, Spec, is_device_name
from node_core.decode import describe_os_error
from node_core.errors import ClaimError

KIND = "k8s.gpu.nvidia.com/claim"
CLAIM_PREFIX = "k8s.gpu.nvidia.com-claim_"
_LIMIT = 4 << 20


def cdi_name(uid: str, device: str) -> str:
    return f"{KIND}={uid}-{device}"


def plan_spec(uid: str, devices: Mapping[str, Edits], common: Edits) -> Spec:
    """devices: name of a device -> its edits. common: for each of them. Raises ClaimError for a device without edits. PURE."""
    for name, edits in devices.items():
        if not edits or not is_device_name(f"{uid}-{name}"):
            raise ClaimError(f"the device {name} cannot be described to the container runtime")
    made = [CdiDevice(name=f"{uid}-{name}", edits=edits) for name, edits in devices.items()]
    return Spec(kind=KIND, devices=tuple(made), edits=common)


class ClaimSpecs:
    """folder: that the container runtimes read. Each method raises ClaimError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, uid: str, spec: Spec) -> bool:
        """Writes the file of a claim if it has another content. Returns whether it wrote."""
        try:
            if not self._folder.is_dir():
                self._folder.mkdir(parents=True)
                self._folder.chmod(0o755)
            return write_changed(self._path(uid), spec)
        except OSError as error:
            raise ClaimError(f"the CDI specification {self._path(uid)} cannot be written: {error.strerror}") from error

    def remove(self, uid: str) -> None:
        """Removes the file of a claim, if it exists."""
        try:
            self._path(uid).unlink(missing_ok=True)
        except OSError as error:
            raise ClaimError(f"the CDI specification {self._path(uid)} cannot be removed: {error.strerror}") from error

    def exists(self, uid: str) -> bool:
        return self._path(uid).is_file()

    def uids(self) -> tuple[str, ...]:
        """The claims that have a file."""
        try:
            names = sorted(path.name for path in self._folder.glob(f"{CLAIM_PREFIX}*.json"))
        except OSError as error:
            raise ClaimError(f"the folder {self._folder} {describe_os_error(error)}") from error
        return tuple(uid for name in names if is_uid(uid := name.removeprefix(CLAIM_PREFIX).removesuffix(".json")))

    def devices(self, uid: str) -> tuple[str, ...]:
        """The devices in the file of a claim; none if the file is damaged."""
        try:
            with self._path(uid).open("rb") as file:
                return tuple(_device_names(json.loads(file.read(_LIMIT)), uid))
        except OSError as error:
            raise ClaimError(f"the CDI specification {self._path(uid)} {describe_os_error(error)}") from error
        except (ValueError, RecursionError):
            return ()

    def _path(self, uid: str) -> Path:
        return self._folder / f"{CLAIM_PREFIX}{uid}.json"


def _device_names(spec: object, uid: str) -> Iterator[str]:
    devices = spec.get("devices") if isinstance(spec, dict) else None
    for each in devices if isinstance(devices, list) else ():
        name = each.get("name") if isinstance(each, dict) else None
        if isinstance(name, str) and name.startswith(f"{uid}-"):
            yield name.removeprefix(f"{uid}-")
