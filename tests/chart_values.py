"""The page docs/reference/chart-values.md, from the tables of `gpunode migrate`."""

from gpunode.migrate.charts import Chart
from tests.tables import render_table


def render_chart_values() -> str:
    """Returns the page with the values of other charts, from the tables of `gpunode migrate`."""
    head = (
        "# Values of other charts\n\n`gpunode migrate FILE` converts values of these charts to values of the chart gpunode, see"
        " [migrate.md](../how-to/migrate.md). These are its tables.\n\n"
        "- Helm refuses values of other charts that have another name here, or no counterpart, with the value to use. The notes of the"
        " installation list\n  values without effect.\n- Empty values, and values of a section that is switched off with `enabled` or"
        " `enable`, are accepted.\n- `null` is the default; for `nodeSelector`, `affinity`, `tolerations`, `priorityClassName`,"
        " `updateStrategy` and `resources` it omits\n  the field.\n- A ClusterPolicy has the values of the GPU Operator's chart below"
        " `spec`.\n- The values of Node Feature Discovery are also in the section `nfd` of NVIDIA's device plugin chart, and in"
        " `node-feature-discovery` of\n  the GPU Operator's chart.\n"
    )
    return head + "".join(_chart_values(chart) for chart in Chart)


def _chart_values(chart: Chart) -> str:
    of_nfd = {row.path for row in Chart.NFD.rows}
    rows = [row for row in chart.rows if chart is Chart.NFD or row.path.partition(".")[2] not in of_nfd]
    moved = (
        (f"`{row.path}`", "the same" if row.to == row.path else f"`{row.to}`", row.why)
        for row in rows
        if row.to is not None
    )
    others: dict[str, list[str]] = {}
    for row in rows:
        if row.to is None:
            others.setdefault(row.why, []).append(f"`{row.path}`")
    title = chart.shown[0].upper() + chart.shown[1:]
    without = render_table(
        ("values without counterpart", "what to do, or why"), ((", ".join(paths), why) for why, paths in others.items())
    )
    return f"\n## {title}\n{render_table(('value', 'here', 'note'), moved)}\n{without}"
