#!/usr/bin/env python3
"""Compares the log-mel of every sound under the folders, as a Whisper directory's processor makes it, with Transformers'
WhisperFeatureExtractor. From the same samples it must lie within 1e-4; with soxr installed, what its high-quality
resampling to the processor's rate gives is compared as well, and must lie within 1e-4 of it on the mean of a file (a logarithm
makes much of single values near silence).

Usage: check_audio_processors.py BUILD/prepare_sounds MODEL FOLDER... [--every N]     --every: only each N-th sound"""
import argparse
import os
import subprocess
import sys

import numpy as np
import soundfile
from transformers import WhisperFeatureExtractor

try:
    import soxr
except ImportError:
    soxr = None
ENDS = (".wav", ".flac", ".ogg")
MOST, MEAN = 1e-4, 1e-4


def ours(program, place, paths):
    """(samples, log-mel) of each path"""
    process = subprocess.Popen([program, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for path in paths:
        process.stdin.write(path.encode() + b"\n")
        process.stdin.flush()
        head = np.frombuffer(process.stdout.read(12), np.int32)
        samples = np.frombuffer(process.stdout.read(4 * head[0]), np.float32)
        yield samples, np.frombuffer(process.stdout.read(4 * head[1] * head[2]), np.float32).reshape(head[1], head[2])
    process.stdin.close()
    if process.wait():
        sys.exit(f"{program} failed")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--every", type=int, default=1)
    o = parser.parse_args()
    made = WhisperFeatureExtractor.from_pretrained(o.model)
    wrong = all_of_them = 0
    for folder in o.folders:
        paths = sorted(os.path.join(d, f) for d, _, files in os.walk(folder) for f in files if f.lower().endswith(ENDS))[::o.every]
        most, mean, bad = 0.0, 0.0, 0
        for path, (samples, mel) in zip(paths, ours(o.program, o.model, paths)):
            if not len(samples):
                print(path, "failed")
                bad += 1
                continue
            theirs = lambda x: made(x, sampling_rate=made.sampling_rate, return_tensors="np")["input_features"][0].T
            apart = float(np.abs(theirs(samples) - mel).max())
            most = max(most, apart)
            sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
            far = 0.0
            if soxr:
                far = float(np.abs(theirs(soxr.resample(sound.mean(1), rate, made.sampling_rate, quality="HQ")) - mel).mean())
                mean = max(mean, far)
            if apart > MOST or far > MEAN:
                print(path, f"{apart:.2g} from the same samples, {far:.2g} on the mean from soxr's")
                bad += 1
        end = f"; from soxr's samples at most {mean:.2g} on the mean of a file" if soxr else ""
        print(f"{folder}: {len(paths) - bad} of {len(paths)} sounds, largest difference {most:.2g}{end}", flush=True)
        wrong += bad
        all_of_them += len(paths)
    sys.exit(1 if wrong or not all_of_them else 0)


if __name__ == "__main__":
    main()
