"""Flags that all programs of Node Feature Discovery have."""

import click

from node_core.runtime.command import ignored_option
from node_core.runtime.setting import GroupedOption

_KLOG_NAMES = (
    "add_dir_header alsologtostderr log_backtrace_at log_dir log_file log_file_max_size logtostderr"
    " skip_headers skip_log_headers stderrthreshold v vmodule"
)
KLOG = tuple(_KLOG_NAMES.split())
"""The flags of klog, which have no effect."""


def _apply_port(ctx: click.Context, _: click.Parameter, port: int | None) -> None:
    if port is not None:
        ctx.default_map = {**(ctx.default_map or {}), "http_address": f":{port}"}


UPSTREAM_FLAGS: tuple[click.Option, ...] = (
    GroupedOption(
        ["--port"],
        heading="Health port",
        type=click.IntRange(0, 65535),
        is_eager=True,
        expose_value=False,
        callback=_apply_port,
        help="Same as --http-address :PORT, for compatibility with upstream. --http-address takes precedence.",
    ),
    *(
        ignored_option(f"--{name}", None, "see --log-level", may_stand_alone=True, hidden=True)
        for name in (*KLOG, "one_output")
    ),
)
