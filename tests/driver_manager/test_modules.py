"""Unloading kernel modules."""

import errno
import os
from collections.abc import Callable

import pytest

from driver_manager.modules import ATTEMPTS, NOUVEAU, ORDER, Module, delete_module, read_module, read_modules
from node_core.errors import DriverError, HostReadError
from node_core.host.root import HostRoot
from node_core.values import replace
from tests.driver_manager.places import LOADED, Place


def raising(number: int) -> Callable[[str], None]:
    def refuse(_name: str) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


def test_the_loaded_modules_are_read_in_the_order_of_unloading(place: Place) -> None:
    place.load(LOADED)
    modules = read_modules(HostRoot(place.base))
    assert [each.name for each in modules] == ["nvidia_drm", "nvidia_modeset", "nvidia_uvm", "nvidia"]
    assert modules[-1] == Module(name="nvidia", references=2, holders=("nvidia_modeset", "nvidia_uvm"))


def test_a_module_of_the_kernel_itself_is_not_loaded(place: Place) -> None:
    (place.base / "sys/module/nouveau").mkdir()
    assert read_module(HostRoot(place.base), NOUVEAU) is None


def test_a_count_that_is_not_a_number_is_no_reference(place: Place) -> None:
    place.load({"nvidia": 0})
    (place.base / "sys/module/nvidia/refcnt").write_text("x")
    assert read_modules(HostRoot(place.base)) == (Module(name="nvidia"),)


def test_modules_that_cannot_be_read_are_an_error(place: Place) -> None:
    (place.base / "sys/module/nvidia/refcnt").mkdir(parents=True)
    with pytest.raises(HostReadError):
        read_modules(HostRoot(place.base))


def test_modules_are_unloaded_users_first(place: Place) -> None:
    place.load(LOADED)
    place.uninstaller().unloader.unload(ORDER)
    assert place.effects == ["delete nvidia_drm", "delete nvidia_modeset", "delete nvidia_uvm", "delete nvidia"]
    assert place.loaded == []


def test_a_module_that_is_not_loaded_is_not_unloaded(place: Place) -> None:
    assert place.uninstaller().unloader.unload(ORDER) == ()


def test_a_reference_that_ends_soon_delays_the_unloading(place: Place) -> None:
    place.load({"nvidia": 1})
    place.users = ("process 7",)
    place.on_sleep = lambda: setattr(place, "users", ())
    assert place.uninstaller().unloader.unload(ORDER) == ("nvidia",)
    assert place.now == 1


def test_what_uses_a_module_is_named(place: Place) -> None:
    place.load({"nvidia": 1})
    place.users = ("process 7 (python3)",)
    with pytest.raises(DriverError, match=r"nvidia cannot be unloaded, because it is in use by process 7 \(python3\)"):
        place.uninstaller().unloader.unload(ORDER)
    assert place.now == ATTEMPTS - 1


def test_a_module_of_others_that_uses_the_driver_is_named(place: Place) -> None:
    place.load({"nvidia": 1})
    (place.base / "sys/module/nvidia/holders/lustre_gds").mkdir()
    with pytest.raises(DriverError, match="in use by the module lustre_gds"):
        place.uninstaller().unloader.unload(ORDER)


def test_references_that_nothing_explains_are_counted(place: Place) -> None:
    place.load({"nvidia": 3})
    unloader = replace(place.uninstaller().unloader, delete=raising(errno.EAGAIN))
    with pytest.raises(DriverError, match="3 references that no process of the node explains"):
        unloader.unload(ORDER)


def test_without_the_right_to_unload_the_error_names_the_right(place: Place) -> None:
    place.load({"nvidia": 0})

    unloader = replace(place.uninstaller().unloader, delete=raising(errno.EPERM))
    with pytest.raises(DriverError, match=r"Operation not permitted .*privileged"):
        unloader.unload(ORDER)
    assert place.now == 0


def test_a_module_that_another_process_unloads_is_not_an_error(place: Place) -> None:
    place.load({"nvidia": 0})

    def race(name: str) -> None:
        place.delete(name)
        place.delete(name)

    assert replace(place.uninstaller().unloader, delete=race).unload(ORDER) == ("nvidia",)


def test_the_system_call_reports_its_error() -> None:
    """No module has this name. Without the right to unload modules, the kernel does not even search it."""
    with pytest.raises(OSError, match="gpunode_no_such_module") as failure:
        delete_module("gpunode_no_such_module")
    assert failure.value.errno in (errno.ENOENT, errno.EPERM, errno.ENOSYS)
