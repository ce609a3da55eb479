#!/usr/bin/env python3
"""Writes the seeds of fuzz_safetensors, good and broken files of a few bytes. Usage: corpus_safetensors.py FOLDER"""
import json
import os
import struct
import sys


def image(header, data=b"", size=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


def row(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


SEEDS = {
    "good": image({"__metadata__": {"format": "pt"}, "a": row("F32", [2, 3], 0, 24), "b": row("BF16", [2], 24, 28),
                   "c": row("F16", [1], 28, 30), "d": row("I64", [], 30, 38), "e": row("BOOL", [0, 4], 38, 38)},
                  bytes(range(38))),
    "empty": b"",
    "no_tensor": image({}),
    "huge_header": image({}, size=1 << 60),
    "cut_short": image({"a": row("F32", [4], 0, 16)}, bytes(12)),
    "overlap": image({"a": row("F32", [2], 0, 8), "b": row("F32", [2], 4, 12)}, bytes(12)),
    "gap": image({"a": row("F32", [1], 0, 4), "b": row("F32", [1], 8, 12)}, bytes(12)),
    "rest": image({"a": row("F32", [1], 0, 4)}, bytes(12)),
    "oversized": image({"a": row("F32", [1 << 31, 1 << 31, 1 << 31], 0, 4)}, bytes(4)),
    "negative": image({"a": row("F32", [-1], 0, 4)}, bytes(4)),
    "backwards": image({"a": row("F32", [1], 4, 0)}, bytes(4)),
    "dtype": image({"a": row("F33", [1], 0, 4)}, bytes(4)),
    "twice": image(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
                   bytes(2)),
    "not_json": image(b"{"),
    "deep": image(b"[" * 3000),
    "wrong_types": image({"a": [1], "__metadata__": 3}),
}
os.makedirs(sys.argv[1], exist_ok=True)
for name, content in SEEDS.items():
    with open(os.path.join(sys.argv[1], name), "wb") as file:
        file.write(content)
