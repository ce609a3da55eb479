#!/usr/bin/env python3
"""Peak memory of the command over published models: at most the weights in the running dtype and a fifth, and 64 MB.

    check_memory.py SENSORIUM MODELS PICTURE SOUND [NAME...]

MODELS: a directory made by full_models.py. Each model that has what a command needs runs it once in f32 and once in `auto`."""
import json
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile

ROOM = 64 << 20


MODEL, PICTURE, SOUND, TEXT = "MODEL", "PICTURE", "SOUND", "a text of some words"
TEXTS = "TEXTS"  # a file of texts with every word that the model knows, or many of them
REGIONS = "REGIONS"  # a file of the features of a picture's regions
WRITE_TEXTS, WORDS_MOST = "--write-texts", 50000
PICTURES = 12  # of them go through the model after one another or together, as it likes
EMBED_PICTURE, EMBED_TEXTS = ["embed", MODEL] + PICTURES * [PICTURE], ["embed", MODEL, "--items", TEXTS]
# model_types, how the architecture ends, whether a vocabulary is needed: what to ask of it.
COMMANDS = [
    (("vit", "deit", "dinov2", "resnet", "vgg"), "", False, EMBED_PICTURE),
    (("clip", "siglip", "chinese_clip"), "", False, EMBED_PICTURE + ["--kind", "image"]),
    (("clip", "siglip", "chinese_clip"), "", True, EMBED_TEXTS + ["--kind", "text"]),
    (("bert", "distilbert", "roberta", "xlm-roberta"), "", True, EMBED_TEXTS),
    (("gpt2",), "", True, ["generate", MODEL, TEXT, "--max-new-tokens", "600", "--sample", "--temperature", "3", "--top-k", "50000"]),
    (("vision-encoder-decoder",), "", True, ["caption", MODEL] + PICTURES * [PICTURE] + ["--num-beams", "4", "--max-length", "16"]),
    (("blip",), "QuestionAnswering", True, ["ask", MODEL, PICTURE, "what is it?"]),
    (("blip",), "ConditionalGeneration", True, ["caption", MODEL] + PICTURES * [PICTURE] + ["--num-beams", "4"]),
    (("vilt",), "", True, ["ask", MODEL, PICTURE, "what is it?"]),
    (("visual_bert",), "", True, ["ask", MODEL, PICTURE, "what is it?", "--regions", REGIONS]),
    (("whisper",), "", True, ["transcribe", MODEL, SOUND, "--language", "en"]),
    (("whisper",), "", False, ["embed", MODEL, SOUND]),
]


def vocabulary(place):
    """The words of a model; empty where it has none."""
    def path(name):
        return os.path.join(place, name)
    if os.path.exists(path("tokenizer.json")):
        words = json.load(open(path("tokenizer.json")))["model"]["vocab"]
        return sorted(words) if isinstance(words, dict) else [word for word, _ in words]
    if os.path.exists(path("vocab.json")):
        return sorted(json.load(open(path("vocab.json"))))
    return open(path("vocab.txt")).read().split("\n") if os.path.exists(path("vocab.txt")) else []


def write_texts(place, path):
    """Each word of the model's at most once, in any order, sixteen to a line; no line where it has no words."""
    words = [word.replace("\u0120", "").replace("\u2581", "").replace("</w>", "").lstrip("#").strip() for word in vocabulary(place)]
    words = [word for word in words if word]
    random.Random(1).shuffle(words)
    with open(path, "w") as file:
        for at in range(0, min(len(words), WORDS_MOST), 16):
            file.write(" ".join(words[at:at + 16]).replace("\n", " ").replace("\r", " ") + "\n")


def write_regions(path, count=36, width=2048):
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (count, width)
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        file.write(struct.pack("<%df" % (count * width), *(i % 97 / 97 for i in range(count * width))))


def commands_of(about):
    for kinds, end, needs, command in COMMANDS:
        if about["model_type"] in kinds and about.get("architecture", "").endswith(end):
            yield needs, command


def peak(arguments):
    """In bytes; None where the command fails."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    return usage.ru_maxrss * 1024 if status == 0 else None


def check(program, place, given):
    name, good = os.path.basename(place), True
    about = json.loads(subprocess.run([program, "info", place, "--json"], stdout=subprocess.PIPE, check=True).stdout)
    # A process of its own: what this one has used would count as its children's.
    subprocess.run([sys.executable, __file__, WRITE_TEXTS, place, given[TEXTS]], check=True)
    given, asked = dict(given, MODEL=place), 0
    for needs, command in commands_of(about):
        title = "%s %s%s" % (name, command[0], " texts" if TEXTS in command else "")
        asked += 1
        if needs and not os.path.getsize(given[TEXTS]):
            print("%-42s not asked: it has no vocabulary" % title)
            continue
        for precision, each in (("f32", 4), ("auto", 2 if about["precision"] == "bf16" else 4)):
            weights = each * about["parameters"]
            used = peak([program] + [given.get(part, part) for part in command] + ["--precision", precision])
            fits = used is not None and used <= 1.2 * weights + ROOM
            print("%-42s %-5s weights %7.1f MB, allowed %7.1f, peak %s%s" % (title, precision, weights / 1e6, (1.2 * weights + ROOM) / 1e6,
                  "%7.1f" % (used / 1e6) if used else "none: it failed", "" if fits else "  TOO MUCH"), flush=True)
            good = good and fits
    if not asked:
        print("%-42s not asked: no command of this check is for it" % name)
    return good


def main():
    if sys.argv[1] == WRITE_TEXTS:
        return write_texts(*sys.argv[2:])
    program, models, picture, sound, *names = sys.argv[1:]
    with tempfile.TemporaryDirectory() as room:
        given = {PICTURE: picture, SOUND: sound, TEXTS: os.path.join(room, "texts.txt"), REGIONS: os.path.join(room, "regions.npy")}
        write_regions(given[REGIONS])
        results = [check(program, os.path.join(models, name), given) for name in names or sorted(os.listdir(models))]
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    sys.exit("this script took %d MB itself, which may have counted as the command's" % (own >> 20) if own > ROOM else not all(results))


main()
