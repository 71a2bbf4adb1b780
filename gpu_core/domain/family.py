"""GPU architecture by compute capability. Source: CUDA C++ programming guide, compute capabilities."""

from gpu_core.domain.inventory import ComputeCapability

_BY_MAJOR = {
    1: "tesla",
    2: "fermi",
    3: "kepler",
    5: "maxwell",
    6: "pascal",
    9: "hopper",
    10: "blackwell",
    11: "blackwell",
    12: "blackwell",
    13: "rubin",
}


def family(compute: ComputeCapability) -> str:
    """The architecture in lower case, as GPU Feature Discovery writes it; `undefined` for an unknown one."""
    if compute.major == 7:
        return "turing" if compute.minor >= 5 else "volta"
    if compute.major == 8:
        return "ada-lovelace" if compute.minor == 9 else "ampere"
    return _BY_MAJOR.get(compute.major, "undefined")
