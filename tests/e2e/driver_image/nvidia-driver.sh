#!/bin/sh
# `nvidia-driver init` of a driver image for tests. It SIMULATES a driver: no kernel module is loaded, and the GPUs do not exist.
# As NVIDIA's driver container, it mounts the root of a driver at /run/nvidia/driver, records what is installed, and takes both away
# when it ends. While the file $HOLD exists, it does nothing, as a container that compiles modules.
set -eu

RUN=/run/nvidia
ROOT=$RUN/driver
SOURCE=/driver
HOLD=${HOLD:-$RUN/hold-driver}
GPUS=${GPUS:-8}

say() { echo "nvidia-driver, SIMULATED: $*"; }

remove() {
    umount -l "$ROOT" 2>/dev/null || true
    rm -f "$RUN/nvidia-driver.pid" "$RUN/nvidia-driver.state"
    say "removed $ROOT"
    exit 0
}

make_nodes() {
    mkdir -p "$SOURCE/dev"
    for name in nvidiactl nvidia-uvm nvidia-uvm-tools nvidia-modeset $(seq 0 $((GPUS - 1)) | sed 's/^/nvidia/'); do
        [ -e "$SOURCE/dev/$name" ] || mknod -m 666 "$SOURCE/dev/$name" c 1 3 # behaves as /dev/null
    done
}

[ "${1:-}" = init ] || { say "usage: nvidia-driver init" >&2; exit 2; }
trap remove TERM INT
if [ -e "$HOLD" ]; then say "waiting for the end of $HOLD"; fi
while [ -e "$HOLD" ]; do sleep 1 & wait $!; done
make_nodes
mkdir -p "$ROOT"
mount -o bind "$SOURCE" "$ROOT"
echo $$ >"$RUN/nvidia-driver.pid"
echo "${DRIVER_CONFIG_DIGEST:-}" >"$RUN/nvidia-driver.state"
say "mounted $ROOT with $GPUS device nodes and a libnvidia-ml.so.1 that reports GPUs of a file"
while :; do sleep 3600 & wait $!; done
