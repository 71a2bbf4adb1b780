"""Block devices. Source: kernel Documentation/ABI/stable/sysfs-block."""

from nfd_lite.sources.api import (
    PREFIX,
    Found,
    Gathering,
    Look,
    Part,
    Source,
    SourceSettings,
    instances,
    read_present,
    true_labels,
)
from node_core.domain.features import Features
from node_core.domain.labels import Labels

BLOCK = "storage.block"
_FOLDER = "/sys/block"
_QUEUE = {name: name for name in ("dax", "rotational", "nr_zones", "zoned")}


def read_block(look: Look) -> Found:
    gathering, names = Gathering(), look.root.entries(_FOLDER)
    if not names and not look.root.shows(_FOLDER):
        return Features()
    devices = tuple(
        {"name": name, **read_present(gathering, look.root, f"{_FOLDER}/{name}/queue", _QUEUE)} for name in names
    )
    return gathering.found(instances(BLOCK, devices))


def label_block(features: Features, _settings: SourceSettings) -> Labels:
    """Like upstream, every block device counts, loop and RAM devices too."""
    solid = any(device.get("rotational") == "0" for device in features.instances.get(BLOCK, ()))
    return true_labels({"storage-nonrotationaldisk": solid})


STORAGE = Source(
    name="storage",
    parts=(Part(name=BLOCK, read=read_block, labels=label_block, owns=(f"{PREFIX}storage-nonrotationaldisk",)),),
)
