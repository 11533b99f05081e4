# SPDX-License-Identifier: Apache-2.0
"""supervisord, told by Linux to stop when the command that started it ends in whatever way.

A program of its own and no `preexec_fn`: with one, Python calls its hooks around the fork, and a
Ctrl-C that comes within such a hook is lost, a lock perhaps held for ever.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from supervisor import supervisord

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run supervisord; the first argument is the process to end with, the rest supervisord's."""
    parent, words = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != parent:
        return
    supervisord.main(words)


if __name__ == '__main__':
    main()
