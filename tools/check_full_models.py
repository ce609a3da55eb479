#!/usr/bin/env python3
"""Published sizes against Transformers: same numbers in f32, as good a choice in `auto` as Transformers' own bf16.

    check_full_models.py RUN_PAGE MODELS [NAME...] [--inputs 200] [--batch 10]

RUN_PAGE: the tool of tools/run_page.c (target run_page); MODELS: a directory made by full_models.py. For each model and
random inputs: the largest difference of the output in f32 over the largest value (at most 1e-3) and the share of rows
whose largest element is the same (all of them; and how many different ones there are); then that share for `auto` and for
Transformers in bf16, both against Transformers in f32: ours at most one point below. Random weights may give nearly every
input the same largest element: where there are fewer than ten, what an input's numbers differ from the mean of all inputs'
is compared as well; there ours may be behind by what chance gives (two standard deviations of the inputs that only one of
them gets right). Exits with 1 where one of these does not hold. ResNet under timm's names and VGG are compared with the
modules of torch_models.py."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import torch
import transformers as T
from safetensors.torch import load_file, save_file

import torch_models

T.logging.set_verbosity_error()
T.logging.disable_progress_bar()
NAMES = ["logits", "pooler_output", "last_hidden_state"]
TOWERS = ["image_embeds", "text_embeds"]
PICTURES = ("vit", "deit", "dinov2", "resnet", "torch")
STEPS, REGIONS = 16, 36


def pictures(side, rows):
    """Noise of several scales, so that pictures differ in more than their mean."""
    x = sum(torch.nn.functional.interpolate(torch.randn(rows, 3, n, n), (side, side), mode="nearest") for n in (1, 4, 16)) / 2
    return x + 0.2 * torch.randn_like(x)


def side_of(place, config):
    """Of the pictures that the processor makes; DINOv2's are smaller than the grid that its positions were made for."""
    part = config.get("vision_config") or config.get("encoder") or config
    side = part.get("image_size", 224)
    if config["model_type"] == "dinov2":
        with open(os.path.join(place, "preprocessor_config.json")) as file:
            side = json.load(file)["crop_size"]["height"]
    return side if isinstance(side, int) else side[0]


def inputs(place, config, rows):
    """(as Transformers takes them, as run_page takes them)"""
    kind, theirs, ours = config["model_type"], {}, {}
    vocabulary = (config.get("text_config") or config.get("decoder") or config).get("vocab_size", 20000)
    if kind in PICTURES + ("clip", "chinese_clip", "siglip", "vilt", "vision-encoder-decoder", "blip"):
        theirs["pixel_values"] = pictures(side_of(place, config), rows)
        ours["pixels"] = theirs["pixel_values"].permute(0, 2, 3, 1).contiguous()
    if kind == "whisper":
        theirs["input_features"] = torch.randn(rows, config["num_mel_bins"], 2 * config["max_source_positions"])
        ours["sound"] = theirs["input_features"].permute(0, 2, 1).contiguous()
    ids = torch.randint(min(1000, vocabulary // 2), vocabulary - 1, (rows, STEPS))
    if kind == "clip":
        ids[:, -1] = config["text_config"]["eos_token_id"]
    if kind in ("whisper", "vision-encoder-decoder"):
        theirs["decoder_input_ids"], ours["target"] = ids, ids.int()
    elif config["architectures"][0] == "BlipForConditionalGeneration":
        theirs["input_ids"], ours["target"] = ids, ids.int()
    elif kind not in PICTURES:
        theirs["input_ids"], ours["ids"] = ids, ids.int()
        ours["types"], ours["mask"] = torch.zeros_like(ids).int(), torch.full((rows,), STEPS, dtype=torch.int32)
    if config["architectures"][0] == "BlipForQuestionAnswering":
        theirs["decoder_input_ids"] = torch.randint(1000, vocabulary, (rows, STEPS))
        ours["target"] = theirs["decoder_input_ids"].int()
    if kind == "vilt":
        positions = STEPS + 1 + (config["image_size"] // config["patch_size"]) ** 2
        ours["mask"] = torch.ones(rows, positions, dtype=torch.int32)
        theirs["pixel_mask"] = torch.ones(rows, config["image_size"], config["image_size"], dtype=torch.long)
    if kind == "visual_bert":
        ours["regions"] = theirs["visual_embeds"] = torch.randn(rows, REGIONS, config["visual_embedding_dim"]).abs()
        ours["mask"] = torch.ones(rows, STEPS + REGIONS, dtype=torch.int32)
        theirs["attention_mask"] = torch.ones_like(ids)
    return theirs, ours


def answers(model, pixel_values, input_ids, decoder_input_ids):
    """BLIP's answers: forward keeps their logits to itself."""
    image = model.vision_model(pixel_values=pixel_values)[0]
    question = model.text_encoder(input_ids=input_ids, encoder_hidden_states=image)[0]
    return model.text_decoder(input_ids=decoder_input_ids, encoder_hidden_states=question)


def opened(place):
    """(what config.json says, the model of PyTorch)"""
    with open(os.path.join(place, "config.json")) as file:
        config = json.load(file)
    if "architectures" not in config:
        return {"model_type": "torch", "architectures": [""]}, torch_models.load(place).eval()
    config = T.AutoConfig.from_pretrained(place).to_dict()
    return config, getattr(T, config["architectures"][0]).from_pretrained(place).eval()


def outputs(model, given, names):
    """As [N,D] or [N,T,D]; pictures' positions as one axis."""
    with torch.no_grad():
        result = answers(model, **given) if type(model).__name__ == "BlipForQuestionAnswering" else model(**given)
    values = [result[name].float() for name in names]
    return [v.flatten(2).permute(0, 2, 1) if v.dim() == 4 else v for v in values]


def run_ours(tool, place, precision, given, names, folder):
    """The first of `names` that the model gives."""
    source, target = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
    save_file(given, source)
    subprocess.run([tool, place, precision, source, target, *names], check=True)
    (name, value), = load_file(target).items()
    return name, value


def same(a, b):
    """Share of the rows whose largest element is the same one."""
    a, b = a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1])
    return (a.argmax(1) == b.argmax(1)).double().mean().item()


FEW = 10


def distinct(wants, got, narrow):
    """For lists of [N,D] less what PyTorch's f32 gives on the mean: how many largest elements there are, the shares that ours
    in `auto` and PyTorch's bf16 get right, and whether ours is behind by more than chance."""
    want = torch.cat(wants)
    mean = want.mean(0)
    want = (want - mean).argmax(1)
    a, b = [(torch.cat(v) - mean).argmax(1) == want for v in (got, narrow)]
    behind, apart = (b & ~a).sum().item() - (a & ~b).sum().item(), (a != b).sum().item()
    return len(set(want.tolist())), a.double().mean().item(), b.double().mean().item(), behind > 0.01 * len(want) + 2 * apart ** 0.5


def check(tool, place, options, folder):
    config, model = opened(place)
    torch.manual_seed(7)
    batches = [inputs(place, config, min(options.batch, options.inputs - at)) for at in range(0, options.inputs, options.batch)]
    wanted = [[name] for name in TOWERS] if config["model_type"] in ("clip", "chinese_clip", "siglip") else [NAMES]
    worst, exact, auto, narrow, wants, ours_in_auto, theirs_in_narrow = 0.0, [], [], [], [], [], []
    for theirs, ours in batches:
        got = [run_ours(tool, place, "f32", ours, names, folder) for names in wanted]
        names = [name for name, _ in got]
        wants.append(outputs(model, theirs, names))
        for i, want in enumerate(wants[-1]):
            value = got[i][1].reshape(want.shape)
            worst = max(worst, ((value - want).abs().max() / want.abs().max()).item())
            exact.append(same(value, want))
            value = run_ours(tool, place, "auto", ours, wanted[i], folder)[1].reshape(want.shape)
            auto.append(same(value, want))
            if want.dim() == 2:
                ours_in_auto.append(value)
    model = model.bfloat16()
    for (theirs, _), want in zip(batches, wants):
        theirs = {k: v.bfloat16() if v.is_floating_point() else v for k, v in theirs.items()}
        values = outputs(model, theirs, names)
        narrow += [same(value, w) for value, w in zip(values, want)]
        theirs_in_narrow += [value for value in values if value.dim() == 2]
    mean = [sum(list_) / len(list_) for list_ in (exact, auto, narrow)]
    choices = len({int(c) for batch in wants for value in batch for c in value.reshape(-1, value.shape[-1]).argmax(1)})
    good = worst <= 1e-3 and mean[0] == 1.0 and mean[1] >= mean[2] - 0.01
    more = ""
    if choices < FEW and len(wanted) == 1 and ours_in_auto:
        *shares, behind = distinct([w[0] for w in wants], ours_in_auto, theirs_in_narrow)
        good = good and not behind
        more = "; less the mean (of %d different): auto %.4f, bf16 %.4f" % tuple(shares)
    print("%-30s %-24s f32 differs by %.1e, same choice %.4f (of %d different); auto %.4f, Transformers bf16 %.4f%s%s" %
          (os.path.basename(place), "+".join(names), worst, mean[0], choices, *mean[1:], more, "" if good else "  NOT GOOD"), flush=True)
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("models")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--inputs", type=int, default=200)
    parser.add_argument("--batch", type=int, default=10)
    options = parser.parse_intermixed_args()
    names = options.names or sorted(n for n in os.listdir(options.models) if os.path.exists(os.path.join(options.models, n, "config.json")))
    with tempfile.TemporaryDirectory() as folder:
        results = [check(options.tool, os.path.join(options.models, name), options, folder) for name in names]
    sys.exit(not all(results))


main()
