#!/usr/bin/env python3
"""Compares `sensorium classify` with timm and torchvision themselves, from the picture's file to the probabilities.

    check_timm.py SENSORIUM PICTURES [NAME...] [--most N]

PICTURES: a folder; N: how many of its pictures (default: all). For each NAME (timm's plain ResNets and VGGs, and torchvision's
as "NAME.pth") a network with random weights is saved as its library saves it, timm's with save_for_hf, torchvision's
state dictionary with torch.save, which `sensorium convert` makes a directory of. Pictures go through timm's
create_transform, or Resize(256), CenterCrop(224) and ImageNet's mean and deviation. Prints the largest difference of a
probability over the largest; exits with 1 above 1e-4, or where the likeliest class is another. Needs torch, timm and
torchvision."""
import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile

import timm
import torch
import torchvision
from PIL import Image, ImageOps

from random_weights import spread

NAMES = ["resnet18", "resnet34", "resnet50", "resnet101", "resnext50_32x4d", "wide_resnet50_2", "vgg11", "vgg13_bn", "vgg16", "vgg19_bn",
         "vgg11.pth", "vgg13_bn.pth", "vgg16.pth", "vgg19.pth", "resnet18.pth", "resnet50.pth", "resnext50_32x4d.pth", "wide_resnet50_2.pth"]
STEP = 16  # pictures at a time


def uncertain(model):
    """With random weights, and no class certain."""
    spread(model).eval()
    last = [m for m in model.modules() if isinstance(m, torch.nn.Linear)][-1]
    with torch.no_grad():
        scale = model(torch.randn(2, 3, 224, 224)).std()
        last.weight /= scale
        last.bias /= scale
    return model


def make(name, place, sensorium):
    """(the directory for `sensorium`, the network, its transform)"""
    torch.manual_seed(len(name))
    if not name.endswith(".pth"):
        model = uncertain(timm.create_model(name, pretrained=False))
        timm.models.save_for_hf(model, place, safe_serialization=True)
        return place, model, timm.data.create_transform(**timm.data.resolve_data_config({}, model=model))
    model, tv = uncertain(getattr(torchvision.models, name[:-4])()), torchvision.transforms
    torch.save(model.state_dict(), place + ".pth")
    subprocess.run([sensorium, "convert", place + ".pth", "-o", place, "-q"], check=True, stdout=subprocess.DEVNULL)
    return place, model, tv.Compose([tv.Resize(256), tv.CenterCrop(224), tv.ToTensor(),
                                     tv.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])


def ours(sensorium, place, files):
    done = subprocess.run([sensorium, "classify", place, *files, "--top", "1000", "--json", "--precision", "f32", "-q"], check=True,
                          capture_output=True, text=True)
    out = torch.zeros(len(files), 1000)
    for row, line in zip(out, done.stdout.splitlines(), strict=True):
        for label, score in json.loads(line)["top"]:
            row[int(label.removeprefix("LABEL_"))] = score
    return out


def check(sensorium, name, pictures):
    worst = same = 0
    with tempfile.TemporaryDirectory() as folder:
        place, model, transform = make(name, os.path.join(folder, "model"), sensorium)
        for at in range(0, len(pictures), STEP):
            files = pictures[at:at + STEP]
            x = torch.stack([transform(ImageOps.exif_transpose(Image.open(f)).convert("RGB")) for f in files])
            with torch.no_grad():
                want = model(x).softmax(-1)
            got = ours(sensorium, place, files)
            worst = max(worst, ((got - want).abs().amax(1) / want.amax(1)).max().item())
            same += (got.argmax(1) == want.argmax(1)).sum().item()
    good = worst <= 1e-4 and same == len(pictures)
    print("%s: largest difference %.1e of the largest probability, the same class for %d of %d pictures%s" % (
        name, worst, same, len(pictures), "" if good else "  WRONG"), flush=True)
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("sensorium")
    parser.add_argument("pictures")
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--most", type=int)
    args = parser.parse_intermixed_args()
    pictures = sorted(glob.glob(os.path.join(args.pictures, "**", "*.jpg"), recursive=True))[:args.most]
    if not pictures:
        sys.exit("%s: no .jpg files" % args.pictures)
    sys.exit(0 if all([check(args.sensorium, name, pictures) for name in args.names]) else 1)


main()
