"""The sources of features: one module for each source. `ALL` contains the collectors in order of precedence."""

from nfd_lite.sources.api import FEATURES_DIR, FakeSettings, Host, SourceSettings
from nfd_lite.sources.collect import (
    DRIVER_COLLECTOR,
    GPU_PRESENT_COLLECTOR,
    INDEPENDENT,
    Collection,
    collect,
    insert_custom_results,
)
from nfd_lite.sources.registry import ALL, SOURCES

__all__ = [
    "ALL",
    "DRIVER_COLLECTOR",
    "FEATURES_DIR",
    "GPU_PRESENT_COLLECTOR",
    "INDEPENDENT",
    "SOURCES",
    "Collection",
    "FakeSettings",
    "Host",
    "SourceSettings",
    "collect",
    "insert_custom_results",
]
