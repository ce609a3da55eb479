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


MODEL, PICTURE, SOUND, TEXT = "MODEL", "PICTURE", "SOUND", "a text of some words"
EMBED_PICTURE = ["embed", MODEL, PICTURE]
# model_types, how the architecture ends, whether a vocabulary is needed: what to ask of it. The first row that fits.
COMMANDS = [
    (("vit", "deit", "dinov2", "resnet", "vgg"), "", False, EMBED_PICTURE),
    (("clip", "siglip", "chinese_clip"), "", False, EMBED_PICTURE + ["--kind", "image"]),
    (("bert", "distilbert"), "", False, ["embed", MODEL, TEXT]),
    (("gpt2",), "", False, ["generate", MODEL, TEXT, "--max-new-tokens", "600", "--sample", "--temperature", "3", "--top-k", "50000"]),
    (("vision-encoder-decoder",), "", False, ["caption", MODEL, PICTURE, "--num-beams", "4", "--max-length", "16"]),
    (("blip",), "QuestionAnswering", False, ["ask", MODEL, PICTURE, "what is it?"]),
    (("blip",), "", False, ["caption", MODEL, PICTURE, "--num-beams", "4"]),
    (("vilt",), "", False, ["ask", MODEL, PICTURE, "what is it?"]),
    (("whisper",), "", True, ["transcribe", MODEL, SOUND, "--language", "en"]),
    (("whisper",), "", False, ["embed", MODEL, SOUND]),
]


def command_of(about, place, picture, sound):
    reads = any(os.path.exists(os.path.join(place, name)) for name in ("tokenizer.json", "vocab.json"))
    given = {MODEL: place, PICTURE: picture, SOUND: sound}
    for kinds, end, needs, command in COMMANDS:
        if about["model_type"] in kinds and about.get("architecture", "").endswith(end) and (reads or not needs):
            return [given.get(part, part) for part in command]
    return None


def peak(arguments):
    """In bytes; None where the command fails."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    return usage.ru_maxrss * 1024 if status == 0 else None


def check(program, place, picture, sound):
    about = json.loads(subprocess.run([program, "info", place, "--json"], stdout=subprocess.PIPE, check=True).stdout)
    command, good = command_of(about, place, picture, sound), True
    if not command:
        return good
    for precision, each in (("f32", 4), ("auto", 2 if about["precision"] == "bf16" else 4)):
        weights = each * about["parameters"]
        used = peak([program] + command + ["--precision", precision])
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
