#!/usr/bin/env python3
"""Compares every picture under a folder, as an image processor prepares it, with Transformers' Pillow backend: levels
before rescaling must be equal, values after normalising too, to the last bit.

Usage: check_image_processors.py BUILD/prepare_images FOLDER [EVERY]     EVERY: only each EVERY-th picture"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
from transformers.image_utils import load_image

from golden_image_processors import processor, small

CONFIGS = [small(k) for k in ("ViT", "DeiT", "CLIP", "ChineseCLIP", "Siglip", "Blip", "ConvNext", "Vilt", "Bit")]
CONFIGS += [small("ConvNext", size={"shortest_edge": 224}), small("CLIP", size=336, crop_size=336), small("Bit", size=256, crop_size=224)]
ENDS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif")


def ours(program, config, paths):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        done = subprocess.run([program, file.name], input="\n".join(paths).encode() + b"\n", stdout=subprocess.PIPE, check=True)
    data, at = done.stdout, 0
    for _ in paths:
        height, width = np.frombuffer(data, np.int32, 2, at)
        n = int(height) * int(width) * 3
        levels = np.frombuffer(data, np.uint8, n, at + 8).reshape(height, width, 3)
        values = np.frombuffer(data, np.float32, n, at + 8 + n).reshape(height, width, 3)
        at += 8 + 5 * n
        yield levels, values
    assert at == len(data)


def compare(made, image, levels, values):
    plain = np.moveaxis(np.asarray(made(image, do_rescale=False, do_normalize=False, do_pad=False)["pixel_values"][0]), 0, -1)
    whole = np.moveaxis(np.asarray(made(image, do_pad=False)["pixel_values"][0]), 0, -1).astype(np.float32)
    if plain.shape != levels.shape:
        return f"{levels.shape} instead of {plain.shape}"
    most = int(np.abs(plain.astype(int) - levels.astype(int)).max())
    return f"{most} levels apart" if most else "" if (whole == values).all() else "values differ"


def main():
    program, folder, every = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1
    paths = sorted(os.path.join(d, f) for d, _, files in os.walk(folder) for f in files if f.lower().endswith(ENDS))[::every]
    wrong = 0
    for config in CONFIGS:
        made, bad = processor(config), 0
        for path, (levels, values) in zip(paths, ours(program, config, paths)):
            why = compare(made, load_image(path), levels, values)
            if why:
                bad += 1
                print(path, why)
        print(f"{len(paths) - bad} of {len(paths)} equal: {json.dumps(config)}", flush=True)
        wrong += bad
    sys.exit(1 if wrong or not paths else 0)


main()
