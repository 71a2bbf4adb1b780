"""The number of inputs for each parser: FUZZ_EXAMPLES. `make test` uses few, `make fuzz` many."""

import os

from hypothesis import HealthCheck, settings

DEFAULT_EXAMPLES = 10

fuzzed = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", DEFAULT_EXAMPLES)),
    deadline=None,  # pytest-timeout ends a parser that does not return
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
