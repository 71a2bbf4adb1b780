"""Starts programs with the default signal dispositions, independently of those that the tests inherited.

A background job of a script ignores SIGINT and SIGQUIT, and a program under nohup ignores SIGHUP. Child processes inherit ignored signals.
"""

import sys

_RESTORE = """
import os, signal, sys
for each in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE):
    signal.signal(each, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""
DEFAULT_SIGNALS = (sys.executable, "-c", _RESTORE)
"""A prefix for command lines."""
