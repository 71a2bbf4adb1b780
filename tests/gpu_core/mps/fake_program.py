"""A fake nvidia-cuda-mps-control: the daemon with -f, the client without arguments.

The daemon records its inputs in its pipe folder: `visible`, `starts`, `pid`, `commands`. A file `broken` in this folder prevents its
start, and a file `refuses` makes the daemon refuse its limits.
"""

SCRIPT = """#!/bin/sh
pipe="$CUDA_MPS_PIPE_DIRECTORY"
if [ "$1" = -f ]; then
  [ -e "$pipe/broken" ] && exit 3
  echo "$CUDA_VISIBLE_DEVICES" > "$pipe/visible"
  echo $$ >> "$pipe/starts"
  echo $$ > "$pipe/pid"
  while :; do sleep 1; done
fi
read -r line
pid=$(cat "$pipe/pid" 2>/dev/null)
[ -n "$pid" ] && [ -n "$(cat "/proc/$pid/cmdline" 2>/dev/null)" ] || { echo "Cannot find MPS control daemon process"; exit 1; }
echo "$line" >> "$pipe/commands"
case $line in
  quit) kill "$pid" ;;
  set_*) [ -e "$pipe/refuses" ] && { echo "no such GPU"; exit 1; } ;;
  get_*) echo 100.0 ;;
esac
exit 0
"""
SMI = """#!/bin/sh
folder="$(dirname "$0")"
for gpu in $(echo "$2" | tr , " "); do
  [ -e "$folder/$gpu" ] || { echo "No devices were found" >&2; exit 6; }
  case $3 in
    -c) case $4 in 0) echo Default ;; 3) echo Exclusive_Process ;; *) exit 2 ;; esac > "$folder/$gpu" ;;
    *) echo "$gpu, $(cat "$folder/$gpu")" ;;
  esac
done
"""
"""A fake nvidia-smi. Its folder contains a file for each GPU. The name is the UUID, and the content is the compute mode."""
