"""Unmounting the root of a driver container."""

import errno
import os
from collections.abc import Callable

import pytest

from driver_manager.mounts import parse_mountinfo, select_mounts, unmount_all
from node_core.errors import DriverError

ROOT = "/run/nvidia/driver"


def line(point: str) -> str:
    return f"36 35 98:0 /mnt1 {point} rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"


def test_mount_points_are_in_order_and_without_escapes() -> None:
    assert parse_mountinfo(line("/") + line(r"/a\040b\134c") + "36 35\n\n") == ("/", r"/a b\c")


def test_the_last_mount_at_and_below_the_folder_is_first() -> None:
    points = ("/", ROOT, f"{ROOT}/dev", f"{ROOT}-2", ROOT)
    assert select_mounts(points, ROOT) == (ROOT, f"{ROOT}/dev", ROOT)


class Table:
    """unmount removes the last mount at a point; also `together`, as in a group of shared mounts."""

    def __init__(self, *points: str, together: int = 1) -> None:
        self.points = list(points)
        self.together = together

    def read(self) -> str:
        return "".join(map(line, self.points))

    def unmount(self, point: str) -> None:
        del self.points[-self.together :]


def test_everything_is_unmounted_also_if_one_unmount_removes_several() -> None:
    table = Table("/", ROOT, f"{ROOT}/dev", ROOT)
    assert unmount_all(ROOT, table.read, table.unmount) == (ROOT, f"{ROOT}/dev", ROOT)
    table = Table("/", ROOT, f"{ROOT}/dev", f"{ROOT}/sys", ROOT, together=2)
    unmount_all(ROOT, table.read, table.unmount)
    assert table.points == ["/"]


def raising(number: int) -> Callable[[str], None]:
    def unmount(_point: str) -> None:
        raise OSError(number, os.strerror(number))

    return unmount


def test_a_mount_that_is_gone_meanwhile_is_not_an_error() -> None:
    texts = iter([line(ROOT), line(ROOT), line("/")])
    assert unmount_all(ROOT, lambda: next(texts), raising(errno.EINVAL)) == (ROOT,)


def test_a_mount_that_comes_back_is_named() -> None:
    with pytest.raises(DriverError, match=f"{ROOT} is still mounted"):
        unmount_all(ROOT, Table(ROOT).read, lambda _: None)


def test_a_refused_unmount_is_named_with_its_reason() -> None:
    with pytest.raises(DriverError, match=f"{ROOT} cannot be unmounted: Operation not permitted .*privileged"):
        unmount_all(ROOT, Table(ROOT).read, raising(errno.EPERM))
