"""Ceph on this machine: a real S3 service, of Debian's packages radosgw, ceph-mon and ceph-osd.

One monitor, one store of objects in memory, and the gateway that speaks S3; nothing is left on the disk.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from nyc_taxi.local.process import free_port
from tests.support.waiting import until

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")

WANTED = "TAXI_TEST_CEPH"
"""The variable that asks for tests on Ceph: its start takes a minute or more."""

_CONFIG = """\
[global]
fsid = {id}
keyring = {folder}/keyring
mon host = {monitor}
mon data = {folder}/mon
osd data = {folder}/osd
osd objectstore = memstore
osd pool default size = 1
osd pool default pg num = 4
osd crush chooseleaf type = 0
mon allow pool size one = true
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
[client.rgw.s3]
rgw data = {folder}/rgw
rgw frontends = beast endpoint={gateway}
"""


def missing() -> str:
    """Say why tests on Ceph are skipped; empty if they are not."""
    if not os.environ.get(WANTED):
        return f"{WANTED} is not set"
    lacking = [name for name in PROGRAMS if not shutil.which(name)]
    return f"Ceph is not installed: {', '.join(lacking)}" if lacking else ""


@contextmanager
def ceph() -> Iterator[str]:
    """Run it; yields the URL of its S3 service; the access key is `key`, its secret `secret`."""
    with tempfile.TemporaryDirectory(prefix="nyc-taxi-ceph-") as name, ExitStack() as stack:
        folder = Path(name)
        gateway, monitor = f"127.0.0.1:{free_port()}", f"v2:127.0.0.1:{free_port()}"
        cluster, disk = str(uuid.uuid4()), str(uuid.uuid4())
        for each in ("mon", "osd", "rgw"):
            (folder / each).mkdir()
        config = folder / "ceph.conf"
        config.write_text(_CONFIG.format(id=cluster, folder=folder, monitor=monitor, gateway=gateway))
        environment = {**os.environ, "CEPH_CONF": str(config)}

        def run(*command: str) -> None:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stderr

        def start(*command: str) -> None:
            with (folder / "output").open("a") as output:
                process = subprocess.Popen([*command, "-f"], env=environment, stdout=output, stderr=output)
            stack.callback(process.wait)
            stack.callback(process.kill)

        for who in ("mon.", "client.admin", "client.rgw.s3", "osd.0"):
            created = [] if who != "mon." else ["--create-keyring"]
            rights = [word for what in ("mon", "osd") for word in ("--cap", what, "allow *")]
            run("ceph-authtool", f"{folder}/keyring", *created, "--gen-key", "-n", who, *rights)
        run("monmaptool", "--create", "--fsid", cluster, "--addv", "a", f"[{monitor}/0]", f"{folder}/map")
        run("ceph-mon", "-i", "a", "--mkfs", "--monmap", f"{folder}/map", "--keyring", f"{folder}/keyring")
        start("ceph-mon", "-i", "a")
        run("ceph", "osd", "new", disk, "0")
        run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
        start("ceph-osd", "-i", "0")
        user = ("--uid=test", "--display-name=test", "--access-key=key", "--secret-key=secret")
        run("radosgw-admin", "user", "create", *user)
        start("radosgw", "-n", "client.rgw.s3")
        until(lambda: _answers(f"http://{gateway}"), 60)
        yield f"http://{gateway}"


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False
