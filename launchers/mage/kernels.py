"""A patch of the editor's kernel, the process that runs blocks: only Mage's own user reaches it.

The kernels of Mage 0.9.80 accept code on TCP ports without a key: every user of the machine could run code as
Mage's user, and read the output of its blocks. With a key the output would still be readable, as the protocol
does not authenticate subscribers. So kernels listen on Unix sockets in a private folder.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

RUNTIME_DIR = "JUPYTER_RUNTIME_DIR"
"""Variable with the folder of the sockets and connection files; `launchers.mage.ui` makes and removes it.

Its path must be short: a socket's path has at most 103 bytes on macOS.
"""


def patch_kernels() -> None:
    """Start kernels with Unix sockets and random keys."""
    from mage_ai.server.kernels import kernel_managers

    folder = Path(os.environ.get(RUNTIME_DIR) or tempfile.mkdtemp(prefix="nyc-taxi-kernel-"))
    for name, manager in kernel_managers.items():
        manager.transport = "ipc"
        manager.connection_file = str(folder / f"{name}.json")
        manager.ip = str(folder / name)  # the prefix of the sockets' paths
        manager.session.key = secrets.token_hex(32).encode()
