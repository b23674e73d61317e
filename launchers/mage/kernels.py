"""A patch of the editor's kernel, the process that runs blocks: private, and gone with Mage.

The kernels of Mage 0.9.80 accept code on TCP ports without a key: every user of the machine could run code as
Mage's user, and read the output of its blocks. With a key the output would still be readable, as the protocol
does not authenticate subscribers. So kernels listen on Unix sockets in a private folder.

A kernel looks for its parent in a thread, which does not run while a block holds Python's lock, as `re` may
do for ever. The processes that a block forks have no such thread. So a watcher ends the kernel's group.
"""

from __future__ import annotations

import functools
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

from launchers.leash import start_watcher

RUNTIME_DIR = "JUPYTER_RUNTIME_DIR"
"""Variable with the folder of the sockets and connection files; `launchers.mage.ui` makes and removes it.

Its path must be short: a socket's path has at most 103 bytes on macOS.
"""


def patch_kernels() -> None:
    """Start kernels with Unix sockets and random keys, which end with this process and its forks."""
    from jupyter_client.provisioning.local_provisioner import LocalProvisioner
    from mage_ai.server.kernels import kernel_managers

    folder = Path(os.environ.get(RUNTIME_DIR) or tempfile.mkdtemp(prefix="nyc-taxi-kernel-"))
    for name, manager in kernel_managers.items():
        manager.transport = "ipc"
        manager.connection_file = str(folder / f"{name}.json")
        manager.ip = str(folder / name)  # the prefix of the sockets' paths
        manager.session.key = secrets.token_hex(32).encode()

    launch = LocalProvisioner.launch_kernel

    async def launch_kernel(provisioner: LocalProvisioner, cmd: list[str], **options: Any) -> Any:
        connection = await launch(provisioner, cmd, **options)
        assert provisioner.pid
        _end_with_this_process(provisioner.pid)
        return connection

    LocalProvisioner.launch_kernel = launch_kernel  # type: ignore[assignment,method-assign]


_watcher = functools.cache(start_watcher)


def _end_with_this_process(group: int) -> None:
    pipe = _watcher().stdin
    assert pipe
    pipe.write(b"%d\n" % group)
