"""The config files in the values: the agents' own parsers check them. PURE."""

import json
from copy import deepcopy
from typing import Any

from gpu_core.domain.sharing import SharingStrategy
from gpu_core.settings.nvidia_config import NvidiaConfig, decode_nvidia_config
from gpunode.migrate.draft import Draft
from nfd_lite.config import WITHOUT_EFFECT, decode_worker_config
from node_core.decode import Document, parse_yaml, remove_keys, value_at
from node_core.errors import SettingsError

NFD_CONFIG = "nfd.config"
SELECTOR = "restrictions.nodeFeatureNamespaceSelector"
NAMESPACES = "Limit with RBAC who may create NodeFeature objects. nfd-lite reads those of others only with `nfd.mergeNodeFeatures`."
LISTS = {"extraLabelNs": "nfd.extraLabelNs", "denyLabelNs": "nfd.denyLabelNs", "enableTaints": "nfd.enableTaints"}
"""Keys of nfd-master.conf that are values of the chart, because the admission policies also need them."""


def read_config(name: str, content: Any) -> NvidiaConfig:
    """Decodes a config file of `config.map`: a text, a mapping or null. Raises SettingsError."""
    text = content if isinstance(content, str) else json.dumps(content or {}, default=str)
    document = Document(source=f"config.map.{name}", content=text.encode(errors="surrogatepass"))
    config, _, _ = decode_nvidia_config(parse_yaml(document), ("gfd", "plugin"), source=document.source)
    return config


def has_mps(content: Any) -> bool:
    """Whether a config shares GPUs by MPS. False if the config is not valid."""
    try:
        sharing = read_config("", content).sharing
    except SettingsError:
        return False
    return sharing is not None and sharing.strategy is SharingStrategy.MPS


def check_configs(draft: Draft) -> None:
    """Reports the errors of the config files, which stay in the values: the agents would not use them, or would not start."""
    for name, content in (draft.get("config.map") or {}).items():
        try:
            read_config(name, content)
        except SettingsError as error:
            draft.problems += error.problems
    try:
        decode_worker_config(draft.get(NFD_CONFIG) or {}, NFD_CONFIG)
    except SettingsError as error:
        draft.problems += error.problems


def clean_nfd_config(draft: Draft) -> None:
    """Moves the keys that are values of the chart, and removes those that have no effect or would be refused."""
    if (found := draft.take(NFD_CONFIG)) is None:
        return
    config, notes = remove_keys(deepcopy(found.value), WITHOUT_EFFECT)
    for note in notes:
        key, _, why = note.partition(" has no effect: ")
        draft.drop(f"{_origin(key, found.origins)}.{key}", f"{why}.")
    for key, path in LISTS.items():
        if (value := config.pop(key, None)) is not None:
            draft.add(path, value, f"{_origin(key, found.origins)}.{key}")
    if value_at(config, SELECTOR) is not None:
        config["restrictions"].pop(SELECTOR.rpartition(".")[2])
        draft.advise(f"{_origin(SELECTOR, found.origins)}.{SELECTOR}", NAMESPACES)
    if config := {key: value for key, value in config.items() if value not in (None, {})}:
        draft.put(NFD_CONFIG, config, *dict.fromkeys(_origin(key, found.origins) for key in config))


def _origin(key: str, origins: tuple[str, ...]) -> str:
    """Returns the value that contains the key: `core` and `sources` are keys of nfd-worker.conf, all others of nfd-master.conf."""
    part = "worker." if key.startswith(("core", "sources")) else "master."
    return next((each for each in origins if part in each), origins[-1])
