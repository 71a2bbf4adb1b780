"""The names of MIG profiles as users write them. PURE.

Source: mig-parted README, `mig-devices`. Labels and names of configs cannot contain `+`, so `1g.10gb.me` means `1g.10gb+me`.
"""

import re

_ATTRIBUTE = r"(?:me\.all|me|gfx)"
_NAME = re.compile(
    rf"(?:(?P<compute>[1-9][0-9]?)c\.)?(?P<slices>[1-9][0-9]?)g\.(?P<memory>[0-9]{{1,5}}gb)"
    rf"(?P<more>(?:[+.]{_ATTRIBUTE}(?:,{_ATTRIBUTE})*)?(?:-{_ATTRIBUTE}(?:,{_ATTRIBUTE})*)?)"
)


def parse_profile(text: str) -> str:
    """Returns the name as NVIDIA prints it: with `+`, and without `c.` if the compute instance has all slices. Raises ValueError."""
    found = _NAME.fullmatch(text)
    if found is None:
        raise ValueError("is not the name of a MIG profile. Write a name such as 1g.10gb, 1g.10gb+me or 1c.3g.40gb")
    compute, slices, memory, more = found.group("compute", "slices", "memory", "more")
    if compute and int(compute) > int(slices):
        raise ValueError(f"has more compute slices than its GPU instance, which has {slices}")
    part = f"{compute}c." if compute and compute != slices else ""
    return f"{part}{slices}g.{memory}{'+' + more[1:] if more.startswith('.') else more}"
