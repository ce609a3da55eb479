#!/usr/bin/env python3
"""Opens the encoders of a trained model with Transformers (and PEFT, where they have adapters) and compares their last
hidden states, pooled, with what `sensorium embed` says.

    check_transfer.py MODEL [--sensorium build/sensorium] [--text TEXT...] [--image FILE...] [--audio FILE.wav...]

FILE.wav: 16 kHz, 16 bit, one channel. Prints one line an encoder; exits with 1 when one differs by more than 1e-4 of the
largest number or was not compared. Needs torch and transformers, and peft for adapters."""
import argparse, json, os, sys
import torch
from safetensors import safe_open
import transformers as T

from trained_models import arguments, opened, ours, picture_vector, pixels, sound_vector, text_vector


def theirs_text(model, place, text):
    return text_vector(model, T.AutoTokenizer.from_pretrained(place), text)


def theirs_image(model, place, file):
    return picture_vector(model, pixels(place, file), has_pooler(place))


def theirs_audio(model, place, file):
    return sound_vector(model.get_encoder(), T.AutoFeatureExtractor.from_pretrained(place), file)


THEIRS = {"text": theirs_text, "image": theirs_image, "audio": theirs_audio}


def has_pooler(place):
    with safe_open(os.path.join(place, "model.safetensors"), "pt") as file:
        return any("pooler" in key for key in file.keys()) or not hasattr(T.AutoConfig.from_pretrained(place), "pooler_act")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model")
    o = arguments(p, text=["agent logged in", "What is the colour of the triangle?"], image=[], audio=[])
    with open(os.path.join(o.model, "config.json")) as file:
        config = json.load(file)
    failed = False
    for feature in config["input_features"]:
        if feature.get("encoder", {}).get("type") != "pretrained":
            continue
        place, kind = os.path.join(o.model, feature["encoder"]["directory"]), feature["type"]
        model, what = opened(place, T.AutoModel, may_miss="pooler.")  # a file without a pooler gets a random one
        items = getattr(o, kind)
        if not items:
            print(f"{place}: {what}: not compared, it needs --{kind}")
            failed = True
            continue
        worst = 0.0
        with torch.no_grad():
            for item in items:
                theirs = THEIRS[kind](model, place, item)
                found = torch.tensor(ours(o, "embed", place, item, "--kind", kind)["vector"])
                worst = max(worst, ((found - theirs).abs().max() / theirs.abs().max()).item())
        failed |= worst > 1e-4
        print(f"{place}: {what}: largest difference {worst:.1e}")
    sys.exit(failed)


main()
