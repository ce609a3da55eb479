#!/usr/bin/env python3
"""Writes tests/golden/image_processors.json: what Transformers' Pillow-backend processors make of synthetic pictures.

A case is a processor's configuration and some pictures (width, height, seed: noise by a linear congruence, so that no
picture is stored), and of the result the shape and FNV-1a hashes: of the levels before rescaling, of the f32 values
[N,H,W,3] after normalising, and of the mask where there is one. Equal hashes are equal bits."""
import json
import os

import numpy as np
import PIL.Image
import transformers
from transformers.models.auto.image_processing_auto import get_image_processor_class_from_name

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "image_processors.json")
SIZES = [(37, 53), (300, 201), (64, 64), (20, 90), (91, 17)]


def noise(width, height, seed):
    n = width * height * 3
    state, levels = seed, np.empty(n, np.uint8)
    for i in range(n):
        state = (state * 1664525 + 1013904223) % (1 << 32)
        levels[i] = state >> 24
    return levels.reshape(height, width, 3)


def fnv(array):
    value = 14695981039346656037
    for byte in np.ascontiguousarray(array).tobytes():
        value = (value ^ byte) * 1099511628211 % (1 << 64)
    return f"{value:016x}"


def processor(config):
    config = dict(config)
    name = config.pop("image_processor_type", None) or config.pop("feature_extractor_type").replace("FeatureExtractor", "ImageProcessor")
    name = name.removesuffix("Fast") + "Pil"
    return get_image_processor_class_from_name(name)(**config)


def last(batch):
    return np.stack([np.moveaxis(np.asarray(x), 0, -1) for x in batch])


def run(config, pictures):
    images = [PIL.Image.fromarray(noise(*p)) for p in pictures]
    made = processor(config)
    levels = [made(image, do_rescale=False, do_normalize=False, do_pad=False)["pixel_values"][0] for image in images]
    levels = [np.moveaxis(np.asarray(x), 0, -1) for x in levels]
    assert all(x.dtype == np.uint8 for x in levels)
    whole = made(images)
    values = last(whole["pixel_values"]).astype(np.float32)
    case = {"config": config, "pictures": [list(p) for p in pictures], "sizes": [list(x.shape[:2]) for x in levels],
            "levels": [fnv(x) for x in levels], "shape": list(values.shape), "values": fnv(values)}
    if "pixel_mask" in whole:
        case["mask"] = fnv(np.stack([np.asarray(m) for m in whole["pixel_mask"]]).astype(np.int32))
    return case


def small(kind, **options):
    return {"image_processor_type": kind + "ImageProcessor", **options}


CONFIGS = [small(k) for k in ("ViT", "DeiT", "CLIP", "ChineseCLIP", "Siglip", "Blip", "ConvNext", "Bit", "Pvt", "MobileNetV1", "MobileNetV2")]
SMALL = [
    small("ViT", size=24), small("ViT", size={"height": 30, "width": 22}, resample=3), small("ViT", size=[19, 33], resample=0),
    small("ViT", size=24, resample=1), small("ViT", size=24, resample=4), small("ViT", size=24, resample=5),
    small("ViT", do_resize=False, do_normalize=False), small("ViT", size=24, do_rescale=False), small("ViT", size=24, rescale_factor=0.00784313725490196),
    small("ViT", size=24, image_mean=[0.1, 0.2, 0.3], image_std=[0.9, 0.8, 0.7]), small("ViT", size={"shortest_edge": 25}, resample=3),
    small("ViT", size={"shortest_edge": 25, "longest_edge": 60}), small("ViT", size={"shortest_edge": 31, "longest_edge": 33}, resample=3),
    small("ViT", size={"max_height": 21, "max_width": 40}), small("ViT", size=24, image_mean=None, do_normalize=None, do_resize=None), small("DeiT", size=30, do_center_crop=None),
    small("DeiT", size=30, crop_size=25), small("DeiT", size=21, crop_size={"height": 26, "width": 17}), small("DeiT", do_resize=False, crop_size=55),
    {"feature_extractor_type": "CLIPFeatureExtractor", "size": 25, "crop_size": 23, "resample": 3, "do_center_crop": True},
    small("CLIP", size={"shortest_edge": 24}, crop_size=24), small("CLIP", size=20, crop_size=33), small("CLIP", size=24, do_center_crop=False),
    {"image_processor_type": "CLIPImageProcessorFast", "size": {"shortest_edge": 26}, "crop_size": {"height": 25, "width": 24}},
    small("ChineseCLIP", size={"height": 22, "width": 22}, do_center_crop=False), small("Siglip", size={"height": 18, "width": 27}),
    small("Blip", size=26), small("ConvNext", size={"shortest_edge": 28}), small("ConvNext", size=21, crop_pct=0.95, resample=2),
    small("Bit", size={"shortest_edge": 29}, crop_size=21), small("Vilt", size={"shortest_edge": 64}, do_pad=False),
    small("Vilt", size=50, size_divisor=8, do_pad=False),
]
BATCHES = [
    (small("Vilt", size={"shortest_edge": 48}, size_divisor=16), [(37, 53, 1), (80, 44, 2), (50, 50, 3)]),
    (small("ViT", size=24), [(37, 53, 1), (80, 44, 2)]),
    (small("CLIP", size=22, do_center_crop=False, do_pad=True), [(37, 53, 1), (80, 44, 2)]),
    (small("Bit", size=20, do_center_crop=False, do_pad=True, pad_size={"height": 40, "width": 45}), [(37, 53, 1), (40, 31, 2)]),
]

if __name__ == "__main__":
    cases = [run(config, [(150, 97, 7)]) for config in CONFIGS]
    for i, config in enumerate(SMALL):
        sizes = SIZES if i < 4 else [SIZES[i % len(SIZES)], SIZES[(i + 2) % len(SIZES)]]
        cases += [run(config, [(w, h, 11 + i)]) for w, h in sizes]
    cases += [run(config, pictures) for config, pictures in BATCHES]
    with open(OUT, "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
    print(len(cases), "cases, Transformers", transformers.__version__)
