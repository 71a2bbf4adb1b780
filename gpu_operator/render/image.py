"""The names of images. PURE."""

from gpu_operator.plan.pools import NodePool
from gpu_operator.spec import DriverSpec, ImageSection

_DIGEST = "sha256:"


def driver_image(spec: DriverSpec, pool: NodePool) -> str:
    """Returns `REPOSITORY/IMAGE:VERSION[-KERNEL]-OS`, or `REPOSITORY/IMAGE@DIGEST`."""
    name = _name(spec.repository, spec.image)
    if spec.version.startswith(_DIGEST):
        return f"{name}@{spec.version}"
    return f"{name}:{'-'.join(filter(None, (spec.version, pool.kernel, pool.os_tag)))}"


def manager_image(section: ImageSection, default: str) -> str:
    """Returns the image of the init container. default: used unless the section names an image."""
    if section.image is None:
        return default
    name = _name(section.repository or "", section.image)
    if section.version is None:
        return name
    return f"{name}@{section.version}" if section.version.startswith(_DIGEST) else f"{name}:{section.version}"


def _name(repository: str, image: str) -> str:
    return f"{repository.rstrip('/')}/{image}" if repository else image
