"""The sources of features: one module for each source. `ALL` contains the collectors in order of precedence."""

from nfd_lite.sources.api import FEATURES_DIR, FakeSettings, Host, SourceSettings
from nfd_lite.sources.collect import GPU_PRESENT_COLLECTOR, Collection, collect, insert_custom_results
from nfd_lite.sources.registry import ALL, SOURCES

__all__ = [
    "ALL",
    "FEATURES_DIR",
    "GPU_PRESENT_COLLECTOR",
    "SOURCES",
    "Collection",
    "FakeSettings",
    "Host",
    "SourceSettings",
    "collect",
    "insert_custom_results",
]
