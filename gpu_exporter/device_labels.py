"""The labels of a device, with the names and the order of dcgm-exporter. PURE.

Source: dcgm-exporter's documentation, DCGM Exporter Metrics.
"""

from collections.abc import Iterator

import msgspec

from gpu_core.domain.inventory import Fault, Gpu
from gpu_core.pods.holders import Holder
from gpu_exporter import families
from gpu_exporter.fields import FIELDS
from node_core.kubelet.podresources import ClaimedDevice

Labels = tuple[tuple[str, str], ...]
"""Names and values."""

POD_NAMES = ("container", "namespace", "pod")
OLD_POD_NAMES = ("container_name", "pod_namespace", "pod_name")
CLAIM_LABELS = ("dra_claim_name", "dra_claim_namespace", "dra_driver_name", "dra_pool_name", "dra_device_name")
MIG_CLAIM_LABELS = ("dra_mig_profile", "dra_mig_device_uuid")
"""Of a MIG device, after CLAIM_LABELS."""
HOSTNAME_LABELS = ("Hostname", "hostname")
_OF_DEVICES = ("gpu", "UUID", "pci_bus_id", "device", "modelName", "GPU_I_PROFILE", "GPU_I_ID")
RESERVED = frozenset(
    {
        *_OF_DEVICES, *HOSTNAME_LABELS, *POD_NAMES, *OLD_POD_NAMES, "pod_uid", *CLAIM_LABELS, *MIG_CLAIM_LABELS,
        *(field.name for field in FIELDS),
        *(family.name for family in families.SELECTABLE),
        *(label for family in families.SELECTABLE for label in family.labels),
    }
)  # fmt: skip
"""The names that labels of pods cannot replace, in series that have labels of pods."""


class LabelOptions(msgspec.Struct, frozen=True, kw_only=True):
    """hostname_label: its name; empty for none. replaces_blanks: in names of models. has_claims: the labels of the ResourceClaim."""

    hostname_label: str = "Hostname"
    hostname: str = ""
    has_old_pod_names: bool = False
    has_pod_uid: bool = False
    has_claims: bool = False
    replaces_blanks: bool = False


def gpu_labels(gpu: Gpu, options: LabelOptions) -> Labels:
    return (*_gpu(gpu, options), *hostname_labels(options))


def instance_labels(gpu: Gpu, gpu_instance: int, profile: str | None, options: LabelOptions) -> Labels:
    """The labels of a GPU instance. UUID is that of the GPU, as in dcgm-exporter."""
    instance = (("GPU_I_PROFILE", profile or ""), ("GPU_I_ID", str(gpu_instance)))
    return (*_gpu(gpu, options), *instance, *hostname_labels(options))


def fault_labels(fault: Fault, options: LabelOptions) -> Labels:
    """The labels of a GPU that was never read."""
    return (("gpu", str(fault.index)), ("UUID", fault.uuid or ""), *hostname_labels(options))


def hostname_labels(options: LabelOptions) -> Labels:
    return ((options.hostname_label, options.hostname),) if options.hostname_label else ()


def pod_labels(holder: Holder | None, options: LabelOptions) -> Labels:
    """The labels of the pod that has a device alone; none without such a pod."""
    if holder is None:
        return ()
    names = OLD_POD_NAMES if options.has_old_pod_names else POD_NAMES
    values = (holder.container, holder.namespace, holder.pod)
    uid = (("pod_uid", holder.pod_uid),) if options.has_pod_uid and holder.pod_uid else ()
    return (*zip(names, values, strict=True), *uid, *holder.labels.items())


def claim_labels(claim: ClaimedDevice | None, gpu: Gpu, gpu_instance: int | None, options: LabelOptions) -> Labels:
    """The labels of the only ResourceClaim of a device. A GPU instance with several compute instances has no UUID of its MIG device."""
    if claim is None or not options.has_claims:
        return ()
    values = (claim.claim, claim.namespace, claim.driver, claim.pool, claim.device)
    labels = tuple(zip(CLAIM_LABELS, values, strict=True))
    migs = [each for each in gpu.mig_devices if each.gpu_instance == gpu_instance]
    if len(migs) != 1:
        return labels
    return (*labels, *zip(MIG_CLAIM_LABELS, (migs[0].profile or "", migs[0].uuid), strict=True))


def _gpu(gpu: Gpu, options: LabelOptions) -> Iterator[tuple[str, str]]:
    yield "gpu", str(gpu.index)
    yield "UUID", gpu.uuid
    if gpu.address is not None:
        domain, _, rest = gpu.address.partition(":")
        yield "pci_bus_id", f"{domain:0>8}:{rest}".upper()
    yield "device", f"nvidia{gpu.index if gpu.minor is None else gpu.minor}"
    yield "modelName", gpu.model.replace(" ", "-") if options.replaces_blanks else gpu.model
