#!/usr/bin/env python3
"""Compares `sensorium embed` with WordLlama's own vectors on every text of CSV files.

    check_wordllama.py SENSORIUM MODEL TEXTS.csv... [--precision f32]

MODEL: `sensorium convert wordllama/weights/l2_supercat_256.safetensors -o MODEL`, with the package's
l2_supercat_tokenizer_config.json beside it as tokenizer.json. Prints the largest difference and the lowest cosine; exits
with 1 above 1e-5 or below 0.999999. Needs the package wordllama."""
import argparse
import os
import sys

import numpy
import safetensors.numpy
from tokenizers import Tokenizer
from wordllama.inference import WordLlamaInference

from embedded_texts import embed, texts_of

parser = argparse.ArgumentParser()
parser.add_argument("sensorium")
parser.add_argument("model")
parser.add_argument("tables", nargs="+")
parser.add_argument("--precision", default="f32")
args = parser.parse_args()

texts = texts_of(args.tables)
ours = embed(args.sensorium, args.model, texts, args.precision).astype(numpy.float64)

table = safetensors.numpy.load_file(os.path.join(args.model, "model.safetensors"))["embedding.weight"]
theirs = WordLlamaInference(table, Tokenizer.from_file(os.path.join(args.model, "tokenizer.json"))).embed(texts).astype(numpy.float64)
assert ours.shape == theirs.shape, ours.shape
cosine = (ours * theirs).sum(1) / numpy.linalg.norm(ours, axis=1) / numpy.linalg.norm(theirs, axis=1)
largest = abs(ours - theirs).max()
print(f"{len(texts)} texts: largest difference {largest:.2e}, lowest cosine {cosine.min():.9f}")
sys.exit(bool(largest > 1e-5 or cosine.min() < 0.999999))
