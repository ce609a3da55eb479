#!/usr/bin/env python3
"""Writes tests/golden/audio_processor.safetensors: Transformers' WhisperFeatureExtractor (NumPy) with other settings than
usual, on sounds shorter and longer than its chunk: "<case>.pcm" [samples], "<case>.mel" [frames, mels]. The settings are
in tests/features/test_audio_processor.c."""
import os

import numpy as np
from safetensors.numpy import save_file
from transformers import WhisperFeatureExtractor

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "audio_processor.safetensors")
CASES = {"short": (dict(feature_size=20, chunk_length=1), 3000), "long": (dict(feature_size=12, chunk_length=1, hop_length=320), 17000),
         "rate": (dict(feature_size=10, chunk_length=1, sampling_rate=20000, n_fft=512, hop_length=400), 5000)}
tensors = {}
for name, (options, samples) in CASES.items():
    made = WhisperFeatureExtractor(**options)
    t = np.arange(samples) / made.sampling_rate
    pcm = (0.4 * np.sin(2 * np.pi * (300 + 900 * t) * t) + 0.05 * np.cos(9000 * t * t)).astype(np.float16).astype(np.float32)
    chunk = np.zeros(made.n_samples, np.float32)
    chunk[:min(samples, made.n_samples)] = pcm[:made.n_samples]
    tensors[name + ".pcm"] = pcm.astype(np.float16)
    tensors[name + ".mel"] = np.ascontiguousarray(made._np_extract_fbank_features(chunk[None], "cpu")[0].T.astype(np.float32))
save_file(tensors, OUT)
