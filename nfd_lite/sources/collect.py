"""One scan of all sources. A collector that fails affects no other collector, and its published labels are retained."""

from collections.abc import Mapping, Sequence

import msgspec

from gpu_core.host.host_driver import find_host_driver
from gpu_core.host.platform import has_gpu_off_pci
from nfd_lite.gpu_present import gpu_present
from nfd_lite.label_keys import PREFIX, qualify_keys
from nfd_lite.pre_installed_driver import pre_installed_driver
from nfd_lite.sources.api import (
    OFF_BY_DEFAULT,
    FeatureCollector,
    Host,
    PartialFeatures,
    ScanContext,
    SourceSettings,
)
from nfd_lite.sources.local import LABEL as LOCAL_LABEL
from nfd_lite.sources.pci import DEVICE as PCI_DEVICE
from nfd_lite.sources.registry import ALL
from node_core.domain.desired import CollectorResult
from node_core.domain.features import Features, merge_features
from node_core.domain.labels import GPU_DEPLOY_DRIVER, GPU_PRESENT
from node_core.errors import HostReadError
from node_core.values import replace

GPU_PRESENT_COLLECTOR = "gpu.present"
DRIVER_COLLECTOR = "gpu.deploy.driver"
INDEPENDENT = frozenset({GPU_PRESENT_COLLECTOR, DRIVER_COLLECTOR})
"""Collectors of labels on which other programs depend. They do not depend on the selected sources."""


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one scan.

    features: of every collector; the previous features of a collector that failed. results: in order of precedence. A collector that
    failed has one result with labels=None, which retains its published labels. A collector that could read only a part of its feature
    has that result and a second one with the new labels. errors: collector -> what failed. problems: collector -> wrong entries of
    users' files. expires_at: Unix seconds of the next scan, when the first of the labels expires; None for no expiry.
    """

    features: Features = msgspec.field(default_factory=Features)
    results: tuple[CollectorResult, ...] = ()
    errors: Mapping[str, str] = msgspec.field(default_factory=dict)
    problems: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    expires_at: float | None = None


def collect(
    host: Host, settings: SourceSettings, collectors: Sequence[FeatureCollector] = ALL, previous: Features | None = None
) -> Collection:
    """Scans the host once. previous: the features of the last scan, which replace the features of collectors that fail."""
    scan = ScanContext(host, settings)
    read = {
        each.name: _read(each, scan) for each in collectors if _is_enabled(each, settings) or each.name == PCI_DEVICE
    }
    enabled = {each: read[each.name] for each in collectors if _is_enabled(each, settings)}
    labelled = [result for each, partial in enabled.items() for result in _label(each, partial, settings)]
    present = _gpu_present(read[PCI_DEVICE], host) if PCI_DEVICE in read else ()
    driver, failures = _host_driver(present, host) if settings.labels_driver else ((), {})
    known = previous or Features()
    return Collection(
        features=merge_features(tuple(_features(each.name, partial, known) for each, partial in enabled.items())),
        results=(*labelled, *present, *driver),
        errors={name: "; ".join(partial.reasons) for name, partial in read.items() if partial.reasons} | failures,
        problems={each.name: partial.problems for each, partial in enabled.items() if partial.problems},
        expires_at=min(
            (partial.expires_at for partial in enabled.values() if partial.expires_at is not None), default=None
        ),
    )


def insert_custom_results(
    results: Sequence[CollectorResult], custom: Sequence[CollectorResult]
) -> tuple[CollectorResult, ...]:
    """Inserts the results of custom rules after all sources except the feature files, which take precedence over custom rules."""
    names = [each.name for each in results]
    at = names.index(LOCAL_LABEL) if LOCAL_LABEL in names else len(names)
    return (*results[:at], *custom, *results[at:])


def _is_enabled(collector: FeatureCollector, settings: SourceSettings) -> bool:
    enabled = settings.feature_sources
    return collector.source not in OFF_BY_DEFAULT if enabled is None else collector.source in enabled


def _read(collector: FeatureCollector, scan: ScanContext) -> PartialFeatures:
    try:
        partial = collector.read(scan)
    except (HostReadError, OSError, ValueError) as error:
        return PartialFeatures(features=None, reasons=(str(error),))
    return partial if isinstance(partial, PartialFeatures) else PartialFeatures(features=partial)


def _features(name: str, partial: PartialFeatures, previous: Features) -> Features:
    if partial.features is not None:
        return partial.features
    return Features(
        flags={key: value for key, value in previous.flags.items() if key == name},
        attributes={key: value for key, value in previous.attributes.items() if key == name},
        instances={key: value for key, value in previous.instances.items() if key == name},
    )


def _label(
    collector: FeatureCollector, partial: PartialFeatures, settings: SourceSettings
) -> tuple[CollectorResult, ...]:
    prefix, labels = "" if collector.catch_all else PREFIX, None
    if partial.features is not None:
        found = collector.labels(partial.features, settings)
        labels = dict(found) if collector.catch_all else qualify_keys(found)
    owns = tuple(prefix + name for name in collector.owns)
    result = CollectorResult(name=collector.name, labels=labels, owns=owns, catch_all=collector.catch_all)
    return _results(result, partial)


def _gpu_present(pci: PartialFeatures, host: Host) -> tuple[CollectorResult, ...]:
    """Derives the label that the device plugin waits for. Does not depend on the enabled sources."""
    result = CollectorResult(name=GPU_PRESENT_COLLECTOR, labels=None, owns=(GPU_PRESENT,))
    try:
        off_pci = host.has_gpus_off_pci or has_gpu_off_pci(host.root)
    except HostReadError:
        return (result,)
    if pci.features is not None:
        result = replace(result, labels=gpu_present(pci.features, off_pci=off_pci))
    return _results(result, pci)


def _host_driver(present: Sequence[CollectorResult], host: Host) -> tuple[tuple[CollectorResult, ...], dict[str, str]]:
    """Derives the label on which driver pods depend, and the error of a failed read. An unknown label is retained."""
    result = CollectorResult(name=DRIVER_COLLECTOR, labels=None, owns=(GPU_DEPLOY_DRIVER,))
    if not present or any(each.labels is None for each in present):
        return (result,), {}
    has_gpu = any(each.labels for each in present)
    try:
        labels = pre_installed_driver(find_host_driver(host.root) if has_gpu else None)
    except HostReadError as error:
        return (result,), {DRIVER_COLLECTOR: str(error)}
    return (replace(result, labels=labels),), {}


def _results(result: CollectorResult, partial: PartialFeatures) -> tuple[CollectorResult, ...]:
    """Adds a result that retains the published labels if a part of the feature could not be read."""
    retained = (replace(result, labels=None),) if partial.reasons else ()
    return retained if result.labels is None else (*retained, result)
