"""Run an embedded server as an account that is not root.

PostgreSQL refuses to run as root. Where this process is root, its programs run as an unprivileged
account, which must reach both the programs and the data: below a home that only root may enter it
cannot, and `REACHABLE` takes their place.
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
"""Where root keeps what an unprivileged account must reach; survives a reboot, unlike /tmp."""

ACCOUNTS = ("postgres", "nobody")
"""Tried in this order: the first is PostgreSQL's own where a system package was installed."""


@dataclass(frozen=True)
class Account:
    """Who runs the server; without a `uid` it is whoever runs this process."""

    uid: int | None = None
    gid: int | None = None

    def run(
        self, command: Sequence[str | Path], keep_open: tuple[int, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, in a session of its own so that what it starts outlives this process.

        Only PATH and LC_ALL are in its environment: PG* variables and translations would change what
        it does and says. `keep_open` are file descriptors that it inherits. Raises DestinationError
        when this process may not become the account.
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
        """Whether the account may enter the folder, or run the program."""
        return self.run(["test", "-x", path]).returncode == 0

    def own(self, path: Path) -> None:
        """Give a file or folder to the account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def __str__(self) -> str:
        return f"user {os.geteuid() if self.uid is None else self.uid}"


def account(existing: Path) -> Account:
    """The account that runs the server whose files are in `existing` (which may not be there yet).

    Root becomes the owner of the existing files, otherwise the first of ACCOUNTS; everybody else
    stays as they are.
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
        f"the embedded PostgreSQL cannot run as root, and there is no account {' or '.join(ACCOUNTS)}: "
        "create one or run as an ordinary user."
    )


def reachable_place(purpose: str) -> Path:
    """A new folder that every account may enter."""
    REACHABLE.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=REACHABLE))
    for folder in (REACHABLE, place):
        folder.chmod(0o711)
    return place
