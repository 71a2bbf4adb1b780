"""The sample pod."""

from gpunode.demo.pod import choose_resource, render_pod


def test_the_sample_pod_requests_mig_devices_if_there_are_any() -> None:
    resources = {
        "nvidia.com/gpu": ("6", "6"),
        "nvidia.com/mig-1g.10gb": ("2", "2"),
        "nvidia.com/mig-3g.40gb": ("1", "1"),
    }
    assert choose_resource(resources) == "nvidia.com/mig-1g.10gb"


def test_the_sample_pod_requests_whole_gpus_before_other_resources() -> None:
    assert choose_resource({"nvidia.com/a40": ("9", "9"), "nvidia.com/gpu": ("2", "2")}) == "nvidia.com/gpu"


def test_a_resource_without_allocatable_devices_is_not_requested() -> None:
    assert choose_resource({"nvidia.com/mig-1g.10gb": ("4", "0"), "nvidia.com/gpu": ("2", "1")}) == "nvidia.com/gpu"
    assert choose_resource({"nvidia.com/gpu": ("2", "0")}) is None
    assert choose_resource({}) is None


def test_the_sample_pod_selects_the_model_of_the_node() -> None:
    pod = render_pod({"nvidia.com/gpu.product": "Tesla-T4"}, "nvidia.com/gpu", 1)
    assert pod["spec"]["nodeSelector"] == {"nvidia.com/gpu.product": "Tesla-T4"}
    assert render_pod({}, "nvidia.com/gpu", 1)["spec"]["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
