"""Run a program that can reach no files outside one folder: `python confined.py FOLDER COMMAND...`.

fake-gcs-server stores an object named `../../x` outside its root and has no login: without confinement, every
local process and web page could read and write any file of its user. Linux confines it with Landlock (kernel
5.13 and newer, docs.kernel.org/userspace-api/landlock.html); other systems run it as it is, with a warning.

This file imports the standard library only, so that it also runs as a script, without site packages.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from pathlib import Path

_WRITE_FILE, _READ_FILE, _LIST = 1 << 1, 1 << 2, 1 << 3
"""Landlock's rights to write files, to read them, and to list folders."""
_WRITE = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))
"""Rights of Landlock's first version to write, delete and create; executing is not restricted."""

_MOVE, _TRUNCATE = 1 << 13, 1 << 14
"""Rights that versions 2 and 3 add."""

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""System calls; the numbers are the same on all architectures that Python has wheels for."""
_GET_VERSION = 1
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_HEADER = struct.Struct("=4sB27xQ14xHH")
"""ELF's header (elf(5)): magic, class, and offset, size and number of the program headers."""
_64_BIT = 2
_INTERPRETER = 3


def confine(folder: Path, program: Path) -> None:
    """Confine this process, which is about to become the program, to a folder; warns if the system cannot.

    A statically linked program, as the package brings it, reads and writes no other files. Any other one (a
    script, or a program with libraries, which may be anywhere) writes no other files. Files that are open
    already stay usable. Raises OSError if the folder or the program does not exist.
    """
    if not _restrict(folder, program if _is_static(program) else None):
        sys.stderr.write(
            "warning: this system cannot confine the GCS emulator, which takes Linux 5.13 or newer with"
            " Landlock: names of objects reach files outside its folder.\n"
        )


def _restrict(folder: Path, program_only: Path | None) -> bool:
    """Confine writing to a folder, and reading to it and one program, if given; returns whether it could."""
    if sys.platform != "linux":
        return False
    version = _call(_CREATE_RULESET, None, ctypes.c_size_t(0), _GET_VERSION)
    if version < 1:  # an older kernel, or Landlock is switched off
        return False
    rights = _WRITE | (_MOVE if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    rights |= _READ_FILE | _LIST if program_only else 0
    ruleset = _call(_CREATE_RULESET, struct.pack("Q", rights), ctypes.c_size_t(8), 0)
    if ruleset < 0:
        return False
    try:
        _allow(ruleset, folder, rights)
        if program_only:
            _allow(ruleset, program_only, _READ_FILE)
        else:
            _allow(ruleset, Path(os.devnull), _WRITE_FILE)  # scripts redirect output to it
        prctl = ctypes.CDLL(None).prctl
        return prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 and _call(_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _is_static(program: Path) -> bool:
    """Return whether a program is a 64-bit ELF file that names no interpreter, which would load libraries."""
    with program.open("rb") as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return False
        magic, bits, offset, size, number = _HEADER.unpack(header)
        if (magic, bits) != (b"\x7fELF", _64_BIT):
            return False
        file.seek(offset)
        entries = [file.read(size) for _ in range(number)]
    return all(entry[:4] != struct.pack("=I", _INTERPRETER) for entry in entries)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    number = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, number), 0) < 0:
            raise OSError(f"{path}: Landlock refuses the rule")
    finally:
        os.close(number)


def _call(number: int, *arguments: object) -> int:
    return int(ctypes.CDLL(None).syscall(number, *arguments))


def main(folder: str, *command: str) -> None:
    """Confine this process to the folder, which is created, and become the command."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    confine(Path(folder), Path(command[0]))
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
