"""Run an embedded server as an unprivileged account.

PostgreSQL refuses to run as root. If this process is root, PostgreSQL runs as an unprivileged account,
which needs access to both programs and data. Those below a folder that only root can enter are placed in
`REACHABLE` instead.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nyc_taxi.errors import DestinationError

REACHABLE = Path("/var/lib/nyc-taxi")
"""Root's folder for files that an unprivileged account must access; survives a reboot, unlike /tmp."""

ACCOUNTS = ("postgres", "nobody")
"""Accounts in order of preference; system packages of PostgreSQL create the first."""


@dataclass(frozen=True)
class Account:
    """The account that runs the server; without a `uid`, the account of this process."""

    uid: int | None = None
    gid: int | None = None

    def run(
        self, command: Sequence[str | Path], keep_open: tuple[int, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run a program and wait for it, in a new session so that its children outlive this process.

        The environment holds only PATH and LC_ALL: PG* variables and translations would change the
        program's behaviour and output. The program inherits the file descriptors `keep_open`. Raises
        DestinationError if this process may not switch to the account.
        """
        try:
            return subprocess.run(
                command,
                check=False,
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=keep_open,
                cwd="/",
                env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"},
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
            )
        except OSError as error:
            raise DestinationError(
                f"{command[0]} cannot be run as {self}: {error}; run as another user or set PG_BIN."
            ) from None

    def reaches(self, path: Path) -> bool:
        """Return whether the account may enter the folder or run the program."""
        return self.run(["test", "-x", path]).returncode == 0

    def own(self, path: Path) -> None:
        """Make the account the owner of a file or folder."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def __str__(self) -> str:
        return f"user {os.geteuid() if self.uid is None else self.uid}"


def account(existing: Path) -> Account:
    """Return the account that runs the server with its files in `existing`, which may not exist yet.

    Root switches to the owner of existing files, otherwise to the first of ACCOUNTS; other users keep
    their account.
    """
    if os.geteuid() != 0:
        return Account()
    if existing.exists():
        status = existing.stat()
        return Account(status.st_uid, status.st_gid)
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise DestinationError(
        f"the embedded PostgreSQL cannot run as root, and this machine has no account "
        f"{' or '.join(ACCOUNTS)}: create one or run as an ordinary user."
    )


def reachable_folder(purpose: str) -> Path:
    """Create a folder that every account may enter."""
    REACHABLE.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=REACHABLE))
    for folder in (REACHABLE, place):
        folder.chmod(0o711)
    return place
