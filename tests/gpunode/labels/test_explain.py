"""The key of a question: completed, or similar to known keys."""

from gpunode.labels.explain import complete_key, find_nearest
from tests.gpunode.labels.answers import PREFIX


def test_a_key_without_prefix_is_completed() -> None:
    assert complete_key("gpu.count", []) == "nvidia.com/gpu.count"
    assert complete_key("memory-numa", []) == f"{PREFIX}memory-numa"
    assert complete_key("rack", ["example.com/rack"]) == "example.com/rack"
    assert complete_key("mig-1g.5gb.count", []) == "nvidia.com/mig-1g.5gb.count"
    assert complete_key("x", []) == "x"
    assert complete_key("a/x", ["b/x"]) == "a/x"


def test_the_nearest_keys_do_not_depend_on_the_prefix() -> None:
    known = [f"{PREFIX}cpu-cpuid.AVX", "nvidia.com/gpu.product", "nvidia.com/gpu.count"]
    assert find_nearest(f"{PREFIX}gpu.prodcut", known)[0] == "nvidia.com/gpu.product"
    assert find_nearest("nvidia.com/zzz", known) == ()
    assert find_nearest("NVIDIA.com/GPU.Count", known)[0] == "nvidia.com/gpu.count"
