#!/usr/bin/env python3
"""Writes tests/golden/torch: checkpoints of a few bytes by torch.save in both layouts, and beside each the same
tensors, contiguous and with flat names, as safetensors. With --fuzz FOLDER it writes the seeds of fuzz_torch_file:
the good files and broken or hostile variations of them.

Usage: golden_torch.py [--fuzz FOLDER]"""
import collections
import io
import os
import pickle
import struct
import sys
import zipfile

import torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "..", "tests", "golden", "torch")
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]


def model_state():
    """A state_dict as models have it: tied weights, a buffer of whole numbers, attributes."""
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Embedding(5, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 5))
    model[2].weight = model[0].weight
    return model.state_dict()


def every_kind():
    """Every dtype, rank and kind of view, in nested containers."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 7
    kinds = collections.OrderedDict()
    for dtype in DTYPES:
        kinds["dtype." + str(dtype)[6:]] = torch.tensor([[0, 1, 100], [3, 2, 7]]).to(dtype)
    kinds["bool"] = torch.tensor([True, False, True])
    kinds["views"] = {
        "all": base, "transposed": base.t(), "columns": base[:, 1:4], "rows": base[1:3], "steps": base[::2, ::3],
        "permuted": torch.arange(24).reshape(2, 3, 4).permute(2, 0, 1), "expanded": torch.ones(1, 3).expand(2, 3),
        "ones": torch.arange(3.0).reshape(3, 1).t(),
    }
    kinds["scalar"] = torch.tensor(2.5)
    kinds["empty"] = torch.empty(0, 4)
    kinds["channels_last"] = torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last)
    parameter = torch.nn.Parameter(torch.tensor([1.5, -2.5]))
    kinds["list"] = [torch.tensor([1]), "no tensor", {"deep": parameter}]
    kinds["shared"] = parameter
    return {"step": 7, "note": "a note", "rate": 0.5, "size": torch.Size([1, 2]), "device": torch.device("cpu"), "dtype": torch.float32,
            "none": None, "flags": (True, False), "words": {"a", "b"}, "state": kinds, 3: {4: torch.tensor([4.0])}}


def new_kinds():
    """What only the zip layout can hold."""
    return {"f8": torch.tensor([1.0, -2.0]).to(torch.float8_e4m3fn), "u16": torch.tensor([1, 65535], dtype=torch.uint16),
            "buffer": torch.nn.Buffer(torch.tensor([3.0, 4.0])), "complex": torch.tensor([1 + 2j])}


def flat(value, name="", into=None):
    into = {} if into is None else into
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else []
    if isinstance(value, torch.Tensor):
        into[name] = value.detach().contiguous().clone()
    for key, inner in items:
        flat(inner, f"{name}.{key}" if name else str(key), into)
    return into


def saved(value, new=True, protocol=2):
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=new, pickle_protocol=protocol)
    return buffer.getvalue()


GOLDENS = {"model": (model_state, True, 2), "kinds": (every_kind, True, 2), "kinds4": (every_kind, True, 4),
           "legacy": (every_kind, False, 2), "legacy_model": (model_state, False, 2), "new": (new_kinds, True, 2)}


def write_goldens():
    os.makedirs(OUT, exist_ok=True)
    for name, (make, new, protocol) in GOLDENS.items():
        with open(os.path.join(OUT, name + ".bin"), "wb") as file:
            file.write(saved(make(), new, protocol))
        save_file(flat(make()), os.path.join(OUT, name + ".safetensors"))


# ---- seeds of the fuzzer ----

def archive(members, order=b"little"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as z:
        for name, data in members.items():
            z.writestr("a/" + name, data)
        z.writestr("a/byteorder", order)
    return buffer.getvalue()


def storage(key="0", elements=4, kind=b"FloatStorage"):
    k = key.encode()
    return b"(X\x07\0\0\0storageq\x01ctorch\n" + kind + b"\nX" + struct.pack("<I", len(k)) + k + b"X\x03\0\0\0cpuJ" + struct.pack("<i", elements) + b"tQ"


def tensor(size=(4,), stride=(1,), offset=0, **options):
    numbers = lambda list_: b"(" + b"".join(b"J" + struct.pack("<i", x) for x in list_) + b"t"
    return (b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage(**options) + b"J" + struct.pack("<i", offset) + numbers(size)
            + numbers(stride) + b"\x89ccollections\nOrderedDict\n)RtR")


def of_tensor(*arguments, data=bytes(range(16)), **options):
    return archive({"data.pkl": b"\x80\x02}X\x01\0\0\0w" + tensor(*arguments, **options) + b"s.", "data/0": data})


def pickled(code):
    return archive({"data.pkl": b"\x80\x02" + code + b".", "data/0": bytes(16)})


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


def seeds():
    good, legacy = saved({"w": torch.arange(4.0), "t": torch.arange(6.0).reshape(2, 3).t()}), saved(model_state(), False)
    overlapping = bytearray(archive({"data.pkl": b"\x80\x02}.", "data/0": bytes(64), "data/1": bytes(64)}))
    second = overlapping.rfind(b"PK\x01\x02", 0, overlapping.rfind(b"a/data/0"))
    overlapping[second + 24:second + 28] = overlapping[second + 20:second + 24] = struct.pack("<I", 130)
    bomb = b"}X\x01\0\0\0w" + tensor() + b"sq\x05" + b"".join(b"0}(X\x01\0\0\0ah%cX\x01\0\0\0bh%cuq%c" % (i, i, i + 1) for i in range(5, 30))
    copies = b"](" + b"NN\x86" * 20 + b"eq\x01ccollections\nOrderedDict\nq\x02" + b"0h\x02h\x01\x85R" * 200
    return {
        "good": good, "legacy": legacy, "kinds": saved(every_kind()), "kinds4": saved(every_kind(), True, 4), "new": saved(new_kinds()),
        "cut_short": good[:-30], "no_table": good[:300], "legacy_cut": legacy[:-8], "legacy_cut_early": legacy[:200],
        "evil": saved({"w": Evil()}), "legacy_evil": saved({"w": Evil()}, False), "module": saved(torch.nn.Linear(1, 1)),
        "big_endian": archive({"data.pkl": b"\x80\x02}."}, b"big"), "no_pickle": archive({"x": b""}), "script": archive({"data.pkl": b"\x80\x02}.", "constants.pkl": b""}),
        "overlap": bytes(overlapping), "beyond": of_tensor((5,)), "beyond_offset": of_tensor((4,), (1,), 1), "beyond_stride": of_tensor((2, 2), (3, 1)),
        "negative_stride": of_tensor((4,), (-1,), 3), "negative_size": of_tensor((-4,)), "negative_offset": of_tensor((4,), (1,), -1),
        "huge": of_tensor((1 << 30,) * 4, (0,) * 4), "expanded": of_tensor((1 << 20,), (0,)), "rank": of_tensor((1,) * 9, (1,) * 9),
        "short_storage": of_tensor(data=bytes(12)), "no_storage": of_tensor(key="7"), "wrong_type": of_tensor(kind=b"OtherStorage"), "up": of_tensor(key="../data.pkl"),
        "deep": pickled(b"]" * 3000 + b"a" * 2999), "cycle": pickled(b"]q\x01h\x01a"), "bomb": pickled(bomb), "copies": pickled(copies),
        "memo": pickled(b"Nr\xff\xff\xff\x7f"), "no_memo": pickled(b"h\x07"), "stack": pickled(b"0"), "mark": pickled(b"t"), "odd": pickled(b"(Nd"),
        "long": pickled(b"\x8a\xff"), "text": pickled(b"X\xff\xff\xff\xff"), "protocol0": archive({"data.pkl": pickle.dumps({"a": 1}, 0)}),
        "proto9": archive({"data.pkl": b"\x80\x09N."}), "empty": b"", "magic": legacy[:15], "not_called": pickled(b"ctorch\nFloatStorage\n)R"),
        "twice": pickled(b"}X\x01\0\0\0w" + tensor() + b"sX\x01\0\0\0w" + tensor() + b"s"), "compressed": compressed(),
    }


def compressed():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("a/data.pkl", b"\x80\x02}" + b"0" * 100)
    return buffer.getvalue()


if len(sys.argv) == 3 and sys.argv[1] == "--fuzz":
    os.makedirs(sys.argv[2], exist_ok=True)
    for name, content in seeds().items():
        with open(os.path.join(sys.argv[2], name), "wb") as file:
            file.write(content)
else:
    write_goldens()
