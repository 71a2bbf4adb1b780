"""Health of the GPUs: what happened becomes verdicts, verdicts mark the plan, and people are told.

`tracker` and `mark` decide by `node_core.domain.health`; `box` and `state_file` are their edges; the others tell.
"""
