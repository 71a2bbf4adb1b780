"""A stand-in for nvidia-cuda-mps-control that keeps the real one's manners: the daemon with -f, without arguments its client.

What it was told lies in its pipe folder: `visible`, `starts`, `pid`, `commands`; a file `broken` there keeps it from starting.
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
pid=$(cat "$pipe/pid" 2>/dev/null) && kill -0 "$pid" 2>/dev/null || { echo "Cannot find MPS control daemon process"; exit 1; }
echo "$line" >> "$pipe/commands"
case $line in
  quit) kill "$pid" ;;
  get_*) echo 100.0 ;;
esac
"""
