#!/usr/bin/env python3
"""Published sizes against Transformers: same numbers in f32, as good a choice in `auto` as Transformers' own bf16.

    check_full_models.py RUN_PAGE MODELS [NAME...] [--inputs 200] [--batch 10]

RUN_PAGE: the tool of tools/run_page.c (target run_page); MODELS: a directory made by full_models.py. For each model and
random inputs: the largest difference of the output in f32 over the largest value (at most 1e-3) and the share of rows
whose largest element is the same (all of them); then that share for `auto` and for Transformers in bf16, both against
Transformers in f32: ours at most one point below. Exits with 1 where one of these does not hold."""
import argparse
import os
import subprocess
import sys
import tempfile
import torch
import transformers as T
from safetensors.torch import load_file, save_file

T.logging.set_verbosity_error()
T.logging.disable_progress_bar()
NAMES = ["logits", "image_embeds", "pooler_output", "last_hidden_state"]
STEPS = 16


def pictures(config, rows):
    """Noise of several scales, so that pictures differ in more than their mean."""
    part = config.get("vision_config") or config.get("encoder") or config
    side = part.get("image_size", 224)
    side = side if isinstance(side, int) else side[0]
    x = sum(torch.nn.functional.interpolate(torch.randn(rows, 3, n, n), (side, side), mode="nearest") for n in (1, 4, 16)) / 2
    return x + 0.2 * torch.randn_like(x)


def inputs(config, rows):
    """(as Transformers takes them, as run_page takes them)"""
    kind, theirs, ours = config["model_type"], {}, {}
    sees = kind in ("vit", "deit", "dinov2", "resnet", "clip", "siglip", "vilt", "vision-encoder-decoder", "blip")
    vocabulary = (config.get("text_config") or config.get("decoder") or config).get("vocab_size", 20000)
    if sees:
        theirs["pixel_values"] = pictures(config, rows)
        ours["pixels"] = theirs["pixel_values"].permute(0, 2, 3, 1).contiguous()
    if kind == "whisper":
        theirs["input_features"] = torch.randn(rows, config["num_mel_bins"], 2 * config["max_source_positions"])
        ours["sound"] = theirs["input_features"].permute(0, 2, 1).contiguous()
    ids = torch.randint(1000, min(20000, vocabulary), (rows, STEPS))
    if kind in ("whisper", "vision-encoder-decoder"):
        theirs["decoder_input_ids"], ours["target"] = ids, ids.int()
    elif kind not in ("vit", "deit", "dinov2", "resnet"):
        theirs["input_ids"], ours["ids"] = ids, ids.int()
        ours["types"], ours["mask"] = torch.zeros_like(ids).int(), torch.full((rows,), STEPS, dtype=torch.int32)
    if kind == "vilt":
        positions = STEPS + 1 + (config["image_size"] // config["patch_size"]) ** 2
        ours["mask"] = torch.ones(rows, positions, dtype=torch.int32)
        theirs["pixel_mask"] = torch.ones(rows, config["image_size"], config["image_size"], dtype=torch.long)
    return theirs, ours


def output(result, name):
    value = getattr(result, name)
    return value.float() if value is not None else None


def run_ours(tool, place, precision, given, folder):
    source, target = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
    save_file(given, source)
    subprocess.run([tool, place, precision, source, target, *NAMES], check=True)
    (name, value), = load_file(target).items()
    return name, value


def same(a, b):
    """Share of the rows whose largest element is the same one."""
    a, b = a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1])
    return (a.argmax(1) == b.argmax(1)).double().mean().item()


def check(tool, place, options, folder):
    config = T.AutoConfig.from_pretrained(place).to_dict()
    model = getattr(T, config["architectures"][0]).from_pretrained(place).eval()
    torch.manual_seed(7)
    batches = [inputs(config, min(options.batch, options.inputs - at)) for at in range(0, options.inputs, options.batch)]
    worst, exact, auto, wants, name = 0.0, [], [], [], None
    for theirs, ours in batches:
        name, got = run_ours(tool, place, "f32", ours, folder)
        with torch.no_grad():
            want = output(model(**theirs), name)
        if want.dim() == 4:
            want = want.flatten(2).permute(0, 2, 1)
            got = got.reshape(want.shape) if got.dim() != 4 else got.flatten(1, 2)
        got = got.reshape(want.shape)
        worst = max(worst, ((got - want).abs().max() / want.abs().max()).item())
        exact.append(same(got, want))
        auto.append(same(run_ours(tool, place, "auto", ours, folder)[1].reshape(want.shape), want))
        wants.append(want)
    model = model.bfloat16()
    narrow = []
    for (theirs, _), want in zip(batches, wants):
        theirs = {k: v.bfloat16() if v.is_floating_point() else v for k, v in theirs.items()}
        with torch.no_grad():
            value = output(model(**theirs), name)
        if value.dim() == 4:
            value = value.flatten(2).permute(0, 2, 1)
        narrow.append(same(value, want))
    mean = [sum(list_) / len(list_) for list_ in (exact, auto, narrow)]
    good = worst <= 1e-3 and mean[0] == 1.0 and mean[1] >= mean[2] - 0.01
    print("%-26s %-18s f32 differs by %.1e, same choice %.4f; auto %.4f, Transformers bf16 %.4f%s" %
          (os.path.basename(place), name, worst, *mean, "" if good else "  NOT GOOD"), flush=True)
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("models")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--inputs", type=int, default=200)
    parser.add_argument("--batch", type=int, default=10)
    options = parser.parse_args()
    names = options.names or sorted(n for n in os.listdir(options.models) if os.path.exists(os.path.join(options.models, n, "config.json")))
    with tempfile.TemporaryDirectory() as folder:
        results = [check(options.tool, os.path.join(options.models, name), options, folder) for name in names]
    sys.exit(not all(results))


main()
