"""One file per source: `read` at the edge, `parse_*` and `labels` pure around it. Order in `ALL` is precedence."""

from nfd_lite.sources.api import FEATURES_DIR, FakeSettings, Host, Part, Partial, Source, SourceSettings
from nfd_lite.sources.collect import GPU_PRESENT_PART, Collection, add_custom, collect
from nfd_lite.sources.registry import ALL

__all__ = [
    "ALL",
    "FEATURES_DIR",
    "GPU_PRESENT_PART",
    "Collection",
    "FakeSettings",
    "Host",
    "Part",
    "Partial",
    "Source",
    "SourceSettings",
    "add_custom",
    "collect",
]
