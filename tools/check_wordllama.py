#!/usr/bin/env python3
"""Compares `sensorium embed` with WordLlama's own vectors on every text of CSV files.

    check_wordllama.py SENSORIUM MODEL TEXTS.csv... [--precision f32]

MODEL: `sensorium convert wordllama/weights/l2_supercat_256.safetensors -o MODEL`, with the package's
l2_supercat_tokenizer_config.json beside it as tokenizer.json. Prints the largest difference and the lowest cosine; exits
with 1 above 1e-5 or below 0.999999. Needs the package wordllama."""
import argparse
import csv
import os
import subprocess
import sys
import tempfile

import numpy
import safetensors.numpy
from tokenizers import Tokenizer
from wordllama.inference import WordLlamaInference

parser = argparse.ArgumentParser()
parser.add_argument("sensorium")
parser.add_argument("model")
parser.add_argument("tables", nargs="+")
parser.add_argument("--precision", default="f32")
args = parser.parse_args()

texts = []
for path in args.tables:
    with open(path, newline="", encoding="utf-8") as file:
        texts += [" ".join(row["text"].split()) for row in csv.DictReader(file)]
with tempfile.TemporaryDirectory() as folder:
    lines, matrix = os.path.join(folder, "texts"), os.path.join(folder, "vectors.npy")
    with open(lines, "w", encoding="utf-8") as file:
        file.writelines(text + "\n" for text in texts)
    subprocess.run([args.sensorium, "embed", args.model, "--items", lines, "-o", matrix, "--precision", args.precision], check=True)
    ours = numpy.load(matrix).astype(numpy.float64)

table = safetensors.numpy.load_file(os.path.join(args.model, "model.safetensors"))["embedding.weight"]
theirs = WordLlamaInference(table, Tokenizer.from_file(os.path.join(args.model, "tokenizer.json"))).embed(texts).astype(numpy.float64)
assert ours.shape == theirs.shape, ours.shape
cosine = (ours * theirs).sum(1) / numpy.linalg.norm(ours, axis=1) / numpy.linalg.norm(theirs, axis=1)
largest = abs(ours - theirs).max()
print(f"{len(texts)} texts: largest difference {largest:.2e}, lowest cosine {cosine.min():.9f}")
sys.exit(largest > 1e-5 or cosine.min() < 0.999999)
