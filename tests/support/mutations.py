"""Seeded random mutations of files: damage, edits, and rewriting by other programs."""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq

Mutation = Callable[[bytes, random.Random], bytes]


def truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 3, 20])):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def repeat_chunk(data: bytes, rng: random.Random) -> bytes:
    start, end = _range(data, rng)
    return data[:end] + data[start:end] * rng.choice([1, 1, 5]) + data[end:]


def remove_chunk(data: bytes, rng: random.Random) -> bytes:
    start, end = _range(data, rng)
    return data[:start] + data[end:]


def insert_bytes(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    piece = rng.choice(
        [b"\0", b'"', b"\r", b"\n", b",", b"\xff", b"\xc3", b"a" * 20_000, b"," * 300, b"\n" * 500]
    )
    return data[:place] + piece + data[place:]


BYTES: dict[str, Mutation] = {
    "truncated": truncate,
    "bits flipped": flip_bits,
    "chunk repeated": repeat_chunk,
    "chunk removed": remove_chunk,
    "bytes inserted": insert_bytes,
}
"""Mutations of the bytes of any format."""


def swap_columns(text: bytes, rng: random.Random) -> bytes:
    rows = [line.split(b",") for line in text.split(b"\n")]
    one, other = (rng.randrange(len(rows[0])) for _ in range(2))
    for row in rows if rng.random() < 0.5 else rows[1:]:
        if max(one, other) < len(row):
            row[one], row[other] = row[other], row[one]
    return b"\n".join(map(b",".join, rows))


def change_header(text: bytes, rng: random.Random) -> bytes:
    head, _, rows = text.partition(b"\n")
    names = head.rstrip(b"\r").split(b",")
    place = rng.randrange(len(names))
    change = rng.randrange(6)
    if change == 0:
        names[place] = rng.choice(
            [b"", b"month", b"ctid", "Größe".encode(), b"a" * 300, b'"', b"1st", b"select"]
        )
    elif change == 1:
        names[place] = names[rng.randrange(len(names))]
    elif change == 2:
        del names[place]
    elif change == 3:
        names.insert(place, b"more")
    elif change == 4:
        names = [b" " + name.upper() + b" " for name in names]
    else:
        rng.shuffle(names)
    return b",".join(names) + b"\r\n" + rows


def change_cells(text: bytes, rng: random.Random) -> bytes:
    lines = text.split(b"\n")
    cells = [
        b"",
        b"abc",
        b"-1",
        b"1e999",
        b"99999999999999999999",
        b"2020-13-45 99:99:99",
        b"0x10",
        b'"',
        b'""x',
        b"nan",
    ]
    for _ in range(rng.choice([1, 10, 1000])):
        row = rng.randrange(len(lines))
        fields = lines[row].split(b",")
        fields[rng.randrange(len(fields))] = rng.choice(cells)
        lines[row] = b",".join(fields)
    return b"\n".join(lines)


def encode(text: bytes, rng: random.Random) -> bytes:
    plain = text.decode("utf-8", "replace")
    change = rng.randrange(6)
    if change < 3:
        return plain.encode(rng.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "utf-7"]))
    if change == 3:
        return text.replace(b",", rng.choice([b";", b"\t", b"|"]))
    if change == 4:
        return plain.replace("N", "Ñ").encode("latin-1", "replace")
    return text.replace(b"\r\n", rng.choice([b"\r", b"\n", b"\n\r"]))


TEXT: dict[str, Mutation] = {
    **BYTES,
    "columns swapped": swap_columns,
    "header changed": change_header,
    "cells changed": change_cells,
    "encoded otherwise": encode,
}
"""Mutations of the text of a CSV."""


def change_table(data: bytes, rng: random.Random) -> bytes:
    """Rename, reorder, retype, empty or drop columns of a Parquet file, or repeat or drop rows."""
    table = pq.read_table(io.BytesIO(data))
    for _ in range(rng.choice([1, 2])):
        place = rng.randrange(table.num_columns)
        name, column = table.column_names[place], table.column(place)
        change = rng.randrange(8)
        if change == 0:
            new = rng.choice(["", "month", "ctid", "x" * 200, "Größe", table.column_names[0], "a.b", 'q"'])
            table = table.rename_columns(
                [new if at == place else own for at, own in enumerate(table.column_names)]
            )
        elif change == 1:
            table = table.select(rng.sample(range(table.num_columns), table.num_columns))
        elif change == 2:
            kind = rng.choice(
                [pa.string(), pa.float32(), pa.int8(), pa.date32(), pa.timestamp("ns", "UTC"), pa.binary()]
            )
            try:
                table = table.set_column(place, name, column.cast(kind, safe=False))
            except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
                continue
        elif change == 3:
            table = table.set_column(
                place, name, pa.nulls(len(table), rng.choice([pa.null(), pa.int64(), pa.string()]))
            )
        elif change == 4:
            table = table.remove_column(place)
        elif change == 5:
            table = pa.concat_tables([table, table.slice(0, rng.randrange(len(table) + 1))])
        elif change == 6:
            table = table.slice(rng.randrange(len(table) + 1), rng.randrange(len(table) + 1))
        else:
            names = list(table.column_names)
            other = rng.randrange(len(names))
            names[place], names[other] = names[other], names[place]
            table = table.rename_columns(names)
    out = io.BytesIO()
    pq.write_table(table, out, compression=rng.choice(["zstd", "gzip", "snappy", "none"]))
    return out.getvalue()


def mutate(data: bytes, ending: str, rng: random.Random) -> tuple[bytes, str]:
    """Return the changed file and the name of the mutation."""
    if ending == "parquet":
        name, change = rng.choice([*BYTES.items(), *[("table changed", change_table)] * 4])
        return change(data, rng), name
    if ending == "csv.gz" and rng.random() < 0.3:
        name, change = rng.choice(list(BYTES.items()))
        return change(data, rng), name
    text = gzip.decompress(data) if ending == "csv.gz" else data
    names = []
    for _ in range(rng.choice([1, 1, 2])):
        name, change = rng.choice(list(TEXT.items()))
        if text:
            text = change(text, rng)
            names.append(name)
    return (gzip.compress(text, 1) if ending == "csv.gz" else text), ", then ".join(names)


def _range(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice([1, 100, 10_000]))
