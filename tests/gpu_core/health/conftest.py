"""The GPUs of the tests of the device plugin."""

from tests.device_plugin.conftest import gpu

__all__ = ["gpu"]
