"""What happens to pods that use devices which must become free. PURE."""

from enum import StrEnum


class BusyPolicy(StrEnum):
    """WAIT: until the pods end. EVICT: through the Eviction API, which respects disruption budgets. FORCE: delete the pods."""

    WAIT = "wait"
    EVICT = "evict"
    FORCE = "force"
