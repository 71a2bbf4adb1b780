"""One file per source: `read` at the edge, `parse_*` and `labels` pure around it. Order in `ALL` is precedence."""

from nfd_lite.sources.api import Host, Part, Partial, Source, SourceSettings
from nfd_lite.sources.collect import GPU_PRESENT_PART, Collection, collect
from nfd_lite.sources.registry import ALL

__all__ = ["ALL", "GPU_PRESENT_PART", "Collection", "Host", "Part", "Partial", "Source", "SourceSettings", "collect"]
