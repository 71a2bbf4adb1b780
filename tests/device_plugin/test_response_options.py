"""How Allocate responses pass devices to containers, by settings and node."""

from device_plugin.cdi_sync import HostContext
from device_plugin.devices import ResourceOffer
from device_plugin.response_options import NodeSoftware, plan_response_options, select_device_lists
from gpu_core.domain.resources import GPU
from gpu_core.domain.sharing import SharingStrategy
from gpu_core.settings.nvidia_settings import ResponseSettings

NODE = NodeSoftware(kubelet="v1.36.3", runtime="containerd://2.1.9")
CDI = HostContext(no_specs_reason=None)


def test_auto_selects_one_strategy_with_a_reason() -> None:
    lists, choice = select_device_lists(ResponseSettings(), NODE, CDI)
    assert lists == ("cdi-cri",)
    assert choice is not None
    assert choice.why


def test_configured_strategies_are_used_without_a_choice() -> None:
    settings = ResponseSettings(device_lists=("envvar", "cdi-annotations"))
    assert select_device_lists(settings, NODE, CDI) == (("envvar", "cdi-annotations"), None)


def test_only_resources_shared_by_mps_have_access_to_a_daemon() -> None:
    settings = ResponseSettings(mps_root="/run/nvidia/mps")
    whole, shared = ResourceOffer(devices=()), ResourceOffer(devices=(), sharing=SharingStrategy.MPS)
    options = [plan_response_options(GPU, offer, settings, ("envvar",), CDI) for offer in (whole, shared)]
    assert [each.mps and each.mps.pipe for each in options] == [None, "/run/nvidia/mps/nvidia.com/gpu/pipe"]


def test_enabled_optional_devices_are_listed() -> None:
    settings = ResponseSettings(gdrcopy=True, mofed=True)
    options = plan_response_options(GPU, ResourceOffer(devices=()), settings, ("envvar",), CDI)
    assert options.optional == ("gdrcopy", "mofed")
