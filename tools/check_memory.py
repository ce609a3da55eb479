#!/usr/bin/env python3
"""Peak memory of the command over published models: at most the weights in the running dtype and a fifth, and 64 MB.

    check_memory.py SENSORIUM MODELS PICTURE SOUND [NAME...]

MODELS: a directory made by full_models.py. Each model that has what its command needs runs once in f32 and once in `auto`."""
import json
import os
import resource
import subprocess
import sys

ROOM = 64 << 20


def commands(picture, sound):
    """By model_type: what to ask of it."""
    seen, read = ["embed", None, picture], ["embed", None, "a text of some words"]
    return {**dict.fromkeys(("vit", "deit", "dinov2", "resnet", "vgg"), seen), **dict.fromkeys(("bert", "distilbert"), read),
            **dict.fromkeys(("clip", "siglip", "chinese_clip"), seen + ["--kind", "image"]),
            "gpt2": ["generate", None, "a text of some words", "--max-new-tokens", "600", "--sample", "--temperature", "3", "--top-k", "50000"],
            "vision-encoder-decoder": ["caption", None, picture, "--num-beams", "4", "--max-length", "16"],
            "vilt": ["ask", None, picture, "what is it?"], "whisper": ["embed", None, sound]}


def command_of(kind, architecture, reads, picture, sound):
    """reads: there is a vocabulary."""
    if kind == "blip":
        return ["ask", None, picture, "what is it?"] if architecture.endswith("QuestionAnswering") else ["caption", None, picture, "--num-beams", "4"]
    if kind == "whisper" and reads:
        return ["transcribe", None, sound, "--language", "en"]
    return commands(picture, sound).get(kind)


def peak(arguments):
    """In bytes; None where the command fails."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    return usage.ru_maxrss * 1024 if status == 0 else None


def check(program, place, picture, sound):
    about = json.loads(subprocess.run([program, "info", place, "--json"], stdout=subprocess.PIPE, check=True).stdout)
    reads = any(os.path.exists(os.path.join(place, name)) for name in ("tokenizer.json", "vocab.json"))
    command, good = command_of(about["model_type"], about.get("architecture", ""), reads, picture, sound), True
    if not command:
        return good
    for precision, each in (("f32", 4), ("auto", 2 if about["precision"] == "bf16" else 4)):
        weights = each * about["parameters"]
        used = peak([program] + [place if part is None else part for part in command] + ["--precision", precision])
        fits = used is not None and used <= 1.2 * weights + ROOM
        print("%-32s %-5s weights %7.1f MB, allowed %7.1f, peak %s%s" % (os.path.basename(place), precision, weights / 1e6, (1.2 * weights + ROOM) / 1e6,
              "%7.1f" % (used / 1e6) if used else "none: it failed", "" if fits else "  TOO MUCH"), flush=True)
        good = good and fits
    return good


def main():
    program, models, picture, sound, *names = sys.argv[1:]
    # What this script itself has used must not count as its children's.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < ROOM >> 10
    results = [check(program, os.path.join(models, name), picture, sound) for name in names or sorted(os.listdir(models))]
    sys.exit(not all(results))


main()
