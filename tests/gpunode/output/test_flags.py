"""Flags for the command line of an agent."""

from gpunode.output.flags import render_flags


def test_values_that_are_given_become_flags() -> None:
    values = {"host_root": "/host", "lock_dir": None, "node": "n1"}
    assert render_flags(values, ("host_root", "lock_dir")) == ["--host-root=/host"]
