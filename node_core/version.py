"""The version of the distribution, as installed."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("gpunode")
except PackageNotFoundError:  # run from a source tree that is not installed
    VERSION = "0.0.0"
