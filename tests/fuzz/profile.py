"""How long is fuzzed: FUZZ_EXAMPLES inputs for each parser, a few in `make test`, many in `make fuzz`."""

import os

from hypothesis import HealthCheck, settings

FEW = 20

fuzzed = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", FEW)),
    deadline=None,  # pytest-timeout ends what does not end
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
