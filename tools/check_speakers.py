#!/usr/bin/env python3
"""Compares `sensorium embed` with Resemblyzer's own speaker vectors on every sound of a table, and finds speakers by them.

    check_speakers.py SENSORIUM MODEL TABLE.csv [--precision f32]

MODEL: `sensorium convert resemblyzer/pretrained.pt -o MODEL`. TABLE has the columns audio and speaker. The package's vectors
are those of embed_utterance() on the sound resampled to 16 kHz by librosa and made as loud as it wants it, that is without
its cutting of silences. Prints the lowest cosine on that very sound (as a float WAV file), then on the files as they are,
resampled by us; and how often the nearest other sound is of the same speaker beside how often chance would find one. Exits
with 1 where a cosine is below 0.9999, or retrieval not 3 times chance. Needs the packages Resemblyzer, librosa (with
soundfile), webrtcvad and scipy below 1.15."""
import argparse
import csv
import os
import subprocess
import sys
import tempfile

import librosa
import numpy
import soundfile
from resemblyzer import VoiceEncoder
from resemblyzer.audio import audio_norm_target_dBFS, normalize_volume

parser = argparse.ArgumentParser()
parser.add_argument("sensorium")
parser.add_argument("model")
parser.add_argument("table")
parser.add_argument("--precision", default="f32")
parser.add_argument("--bound", type=float, default=0.9999)
args = parser.parse_args()

with open(args.table, newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
files = [os.path.join(os.path.dirname(os.path.abspath(args.table)), row["audio"]) for row in rows]
speakers = numpy.array([row["speaker"] for row in rows])


def embed(names, folder):
    lines, matrix = os.path.join(folder, "files"), os.path.join(folder, "vectors.npy")
    with open(lines, "w", encoding="utf-8") as file:
        file.writelines(name + "\n" for name in names)
    subprocess.run([args.sensorium, "embed", args.model, "--items", lines, "-o", matrix, "--overwrite", "-q", "--precision", args.precision],
                   check=True)
    return numpy.load(matrix).astype(numpy.float64)


encoder = VoiceEncoder("cpu", verbose=False)
theirs = []
with tempfile.TemporaryDirectory() as folder:
    resampled = []
    for i, name in enumerate(files):
        wav, rate = librosa.load(name, sr=None)
        wav = librosa.resample(wav, orig_sr=rate, target_sr=16000)
        resampled.append(os.path.join(folder, f"{i}.wav"))
        soundfile.write(resampled[-1], wav, 16000, subtype="FLOAT")
        theirs.append(encoder.embed_utterance(normalize_volume(wav, audio_norm_target_dBFS, increase_only=True)))
    theirs = numpy.stack(theirs).astype(numpy.float64)
    ours, same_sound = embed(files, folder), embed(resampled, folder)
assert ours.shape == theirs.shape, ours.shape


def cosines(x):
    return (x * theirs).sum(1) / numpy.linalg.norm(x, axis=1) / numpy.linalg.norm(theirs, axis=1)


cosine, direct = cosines(same_sound), cosines(ours)
alike = ours @ ours.T
numpy.fill_diagonal(alike, -numpy.inf)
found = (speakers[alike.argmax(1)] == speakers).mean()
same = numpy.array([(speakers == s).sum() - 1 for s in speakers]).mean() / (len(speakers) - 1)
print(f"{len(files)} sounds of {len(set(speakers))} speakers: lowest cosine {cosine.min():.8f} on the same 16 kHz, "
      f"{direct.min():.8f} (median {numpy.median(direct):.8f}) with our resampling; "
      f"the nearest is of the same speaker in {100 * found:.1f} % (chance {100 * same:.1f} %)")
sys.exit(bool(min(cosine.min(), direct.min()) < args.bound or found < 3 * same))
