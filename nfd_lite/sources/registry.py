"""The collectors of all sources, in order of precedence: a later collector overrides the labels of an earlier collector."""

from nfd_lite.sources.api import FeatureCollector
from nfd_lite.sources.cpu import CPU
from nfd_lite.sources.extra import EXTRA
from nfd_lite.sources.fake import FAKE
from nfd_lite.sources.kernel import KERNEL
from nfd_lite.sources.local import LOCAL
from nfd_lite.sources.memory import MEMORY
from nfd_lite.sources.network import NETWORK
from nfd_lite.sources.pci import PCI
from nfd_lite.sources.storage import STORAGE
from nfd_lite.sources.system import SYSTEM
from nfd_lite.sources.usb import USB

ALL: tuple[FeatureCollector, ...] = (
    *(*CPU, *EXTRA, *FAKE, *KERNEL, *MEMORY, *NETWORK),
    *(*PCI, *STORAGE, *SYSTEM, *USB, *LOCAL),
)
SOURCES = tuple(dict.fromkeys(each.source for each in ALL))
"""The names of all sources."""
