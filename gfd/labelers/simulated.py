"""The label of nodes with simulated GPUs, which `gpu_core.assembly.mark_simulation` sets."""

from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import SIMULATED

DECLARED = (LabelDeclaration(key=SIMULATED, value="`true`", source="`--simulate`", presence="with `--simulate`"),)
