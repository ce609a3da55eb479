#!/usr/bin/env python3
"""Compares `sensorium embed` with Transformers on real weights and every text of a CSV file.

    check_minilm.py SENSORIUM MODEL TEXTS.csv... [--precision f32]

MODEL: a sentence encoder's directory with mean pooling and normalisation, such as all-MiniLM-L6-v2. Prints the lowest
cosine and the number of texts; exits with 1 below 0.99999. Needs torch and transformers."""
import argparse
import json
import os
import sys

import numpy
import torch
import transformers

from embedded_texts import embed, texts_of

parser = argparse.ArgumentParser()
parser.add_argument("sensorium")
parser.add_argument("model")
parser.add_argument("tables", nargs="+")
parser.add_argument("--precision", default="f32")
parser.add_argument("--bound", type=float, default=0.99999)
args = parser.parse_args()

texts = texts_of(args.tables)
ours = embed(args.sensorium, args.model, texts, args.precision)

with open(os.path.join(args.model, "sentence_bert_config.json")) as file:
    most = json.load(file)["max_seq_length"]
tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
model = transformers.AutoModel.from_pretrained(args.model).eval()
order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
theirs = numpy.zeros_like(ours)
with torch.no_grad():
    for at in range(0, len(order), 32):
        rows = order[at:at + 32]
        given = tokenizer([texts[i] for i in rows], padding=True, truncation=True, max_length=most, return_tensors="pt")
        mask = given["attention_mask"].unsqueeze(-1).float()
        hidden = model(**given).last_hidden_state
        theirs[rows] = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1).numpy()
assert ours.shape == (len(texts), theirs.shape[1]), ours.shape
cosine = (ours.astype(numpy.float64) * theirs.astype(numpy.float64)).sum(1)
cosine /= numpy.linalg.norm(ours.astype(numpy.float64), axis=1) * numpy.linalg.norm(theirs.astype(numpy.float64), axis=1)
print(f"{len(texts)} texts, lowest cosine {cosine.min():.8f}, lengths {numpy.linalg.norm(ours, axis=1).min():.6f} to "
      f"{numpy.linalg.norm(ours, axis=1).max():.6f}")
sys.exit(bool(cosine.min() < args.bound))
