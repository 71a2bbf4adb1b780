"""One file per source: `read` at the edge, `parse_*` and `labels` pure around it. Order in `ALL` is precedence."""
