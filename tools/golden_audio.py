"""golden_audio.py: makes tests/golden/audio, and measures our log-mel against Transformers on real files.

    golden_audio.py                       writes the goldens (numpy; checked against Transformers where installed)
    golden_audio.py --formats             writes tone.*: a 0.2 s tone in several formats (needs the ffmpeg command)
    golden_audio.py --library LIB DIR...  LIB: a shared library of src/media and src/base with visible symbols

The log-mel here is written from the published definition (Radford et al. 2022, librosa's slaney filters), not
from any code: goldens are its output. Where `transformers` is installed, WhisperFeatureExtractor must agree
with it, so the goldens do not rest on one reading of the definition. Sounds are synthetic.
"""
import argparse
import ctypes
import json
import os
import subprocess
import wave

import numpy as np

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "audio")


def mel_of(hertz):
    hertz = np.asarray(hertz, np.float64)
    return np.where(hertz < 1000, hertz * 3 / 200, 15 + np.log(np.maximum(hertz, 1) / 1000) * 27 / np.log(6.4))


def hertz_of(mel):
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


def filters(rate, n_fft, mels, fmin, fmax):
    bins = np.arange(n_fft // 2 + 1) * rate / n_fft
    corners = hertz_of(np.linspace(mel_of(fmin), mel_of(fmax), mels + 2))
    bank = np.zeros((mels, len(bins)))
    for m in range(mels):
        low, centre, high = corners[m : m + 3]
        up, down = (bins - low) / (centre - low), (high - bins) / (high - centre)
        bank[m] = np.maximum(0, np.minimum(up, down)) * 2 / (high - low)
    return bank


def log_mel(pcm, rate, n_fft, hop, mels, fmin=0.0, fmax=0.0, style="whisper"):
    """[frames, mels]"""
    frames = max(1, len(pcm) // hop)
    half = n_fft // 2
    pcm = np.concatenate([pcm.astype(np.float64), np.zeros(max(0, half + 1 - len(pcm)))])
    pcm = np.pad(pcm, (half, half + 1), mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    rows = np.stack([pcm[t * hop : t * hop + n_fft] * window for t in range(frames)])
    power = np.abs(np.fft.rfft(rows)) ** 2 @ filters(rate, n_fft, mels, fmin, fmax or rate / 2).T
    if style == "log":
        return np.log(power + 1e-6).astype(np.float32)
    spec = np.log10(np.maximum(power, 1e-10))
    return ((np.maximum(spec, spec.max() - 8) + 4) / 4).astype(np.float32)


def transformers_mel(pcm, mels=80):
    """WhisperFeatureExtractor on exactly these samples (no padding to 30 s); None where not installed."""
    try:
        from transformers import WhisperFeatureExtractor
    except ImportError:
        return None
    extractor = WhisperFeatureExtractor(feature_size=mels)
    out = extractor(pcm, sampling_rate=16000, padding="do_not_pad", truncation=False, return_tensors="np")
    return out["input_features"][0].T


def sounds():
    """name -> (rate, int16 samples)"""
    rng = np.random.default_rng(7)
    t = np.arange(9600) / 16000
    sweep = 0.5 * np.sin(2 * np.pi * (100 * t + 5000 * t * t)) + 0.01 * rng.standard_normal(len(t))
    sweep[4000:5200] = 0
    voice = sum(np.sin(2 * np.pi * 140 * k * np.arange(4001) / 8000) / k for k in range(1, 20)) * 0.3
    click = np.zeros(150)
    click[17] = 0.9
    return {
        name: (rate, np.round(np.clip(x, -1, 1) * 32767).astype(np.int16))
        for name, rate, x in [("sweep", 16000, sweep), ("voice", 8000, voice), ("click", 16000, click)]
    }


CASES = [  # sound, rate, n_fft, hop, mels, fmin, fmax, style
    ("sweep", 16000, 400, 160, 80, 0, 0, "whisper"),
    ("sweep", 16000, 400, 160, 128, 0, 0, "whisper"),
    ("voice", 8000, 256, 100, 40, 20, 3800, "log"),
    ("voice", 8000, 331, 128, 32, 0, 0, "whisper"),
    ("voice", 8000, 375, 77, 24, 0, 0, "log"),
    ("click", 16000, 400, 160, 80, 0, 0, "whisper"),
]


def write_goldens():
    os.makedirs(HERE, exist_ok=True)
    made = sounds()
    for name, (rate, pcm) in made.items():
        with wave.open(os.path.join(HERE, name + ".wav"), "wb") as w:
            w.setnchannels(1), w.setsampwidth(2), w.setframerate(rate)
            w.writeframes(pcm.tobytes())
    rows = []
    for i, (name, rate, n_fft, hop, mels, fmin, fmax, style) in enumerate(CASES):
        pcm = made[name][1].astype(np.float32) / 32768
        out = log_mel(pcm, rate, n_fft, hop, mels, fmin, fmax, style)
        if (rate, n_fft, hop, style) == (16000, 400, 160, "whisper") and len(pcm) > 200:
            other = transformers_mel(pcm, mels)
            if other is not None:
                assert np.abs(other - out).max() < 2e-5, np.abs(other - out).max()
                print(f"case {i}: WhisperFeatureExtractor differs by {np.abs(other - out).max():.2g}")
        out.astype("<f4").tofile(os.path.join(HERE, f"mel{i}.f32"))
        rows.append(dict(sound=name + ".wav", golden=f"mel{i}.f32", rate=rate, n_fft=n_fft, hop=hop, mels=mels,
                         fmin=fmin, fmax=fmax, style=style, frames=len(out)))
    with open(os.path.join(HERE, "mel.json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")


def write_formats():
    tone = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=16000:duration=0.2"]
    for name, how in [("tone.wav", "-c:a pcm_s16le"), ("tone.flac", ""), ("tone.mp3", "-ar 44100 -ac 2 -b:a 64k"),
                      ("tone.opus", "-c:a libopus -b:a 24k"), ("tone.m4a", "-c:a aac -b:a 48k"),
                      ("tone.webm", "-c:a libopus"), ("tone_alaw.wav", "-c:a pcm_alaw")]:
        subprocess.run(tone + how.split() + [os.path.join(HERE, name)], check=True)


class Options(ctypes.Structure):
    _fields_ = [(n, ctypes.c_int) for n in ("rate", "n_fft", "hop", "mels")] + [
        ("fmin", ctypes.c_double), ("fmax", ctypes.c_double), ("style", ctypes.c_int)]


class Audio(ctypes.Structure):
    _fields_ = [("rate", ctypes.c_int), ("channels", ctypes.c_int), ("frames", ctypes.c_int64),
                ("pcm", ctypes.POINTER(ctypes.c_float))]


def compare(library, folders):
    """Every WAV below the folders: decode against Python's wave, log-mel against Transformers at its own rate and
    after our resampling to 16 kHz, and once padded to 30 s."""
    lib = ctypes.CDLL(os.path.abspath(library))
    lib.sn_mel_frames.restype = ctypes.c_int64
    lib.sn_mel_frames.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    lib.sn_mel_compute.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p]
    lib.sn_audio_read.argtypes = [ctypes.c_char_p, ctypes.c_double, ctypes.POINTER(Audio)]
    lib.sn_error_message.restype = ctypes.c_char_p
    mel = ctypes.c_void_p()
    assert lib.sn_mel_create(ctypes.byref(Options(16000, 400, 160, 80, 0, 0, 0)), ctypes.byref(mel)) == 0

    def ours(pcm):
        out = np.empty((lib.sn_mel_frames(mel, len(pcm)), 80), np.float32)
        assert lib.sn_mel_compute(mel, pcm.ctypes.data, len(pcm), out.ctypes.data) == 0
        return out

    worst, files = {"as it is": 0.0, "resampled": 0.0, "padded to 30 s": 0.0}, 0
    paths = sorted(os.path.join(d, f) for top in folders for d, _, fs in os.walk(top) for f in fs if f.endswith(".wav"))
    for path in paths:
        audio = Audio()
        assert lib.sn_audio_read(path.encode(), 0.0, ctypes.byref(audio)) == 0, lib.sn_error_message()
        pcm = np.ctypeslib.as_array(audio.pcm, (audio.frames,)).copy()
        with wave.open(path) as w:
            raw = np.frombuffer(w.readframes(w.getnframes()), "<i2").astype(np.float32) / 32768
        assert np.array_equal(raw, pcm), path
        worst["as it is"] = max(worst["as it is"], float(np.abs(ours(pcm) - transformers_mel(pcm)).max()))
        assert lib.sn_audio_resample(ctypes.byref(audio), 16000) == 0
        wide = np.ctypeslib.as_array(audio.pcm, (audio.frames,)).copy()
        worst["resampled"] = max(worst["resampled"], float(np.abs(ours(wide) - transformers_mel(wide)).max()))
        if files % 50 == 0:
            full = np.zeros(480000, np.float32)
            full[: len(wide)] = wide[:480000]
            worst["padded to 30 s"] = max(worst["padded to 30 s"], float(np.abs(ours(full) - transformers_mel(full)).max()))
        lib.sn_audio_free(ctypes.byref(audio))
        files += 1
    print(files, "files;", worst)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formats", action="store_true")
    parser.add_argument("--library")
    parser.add_argument("folders", nargs="*")
    args = parser.parse_args()
    if args.library:
        compare(args.library, args.folders)
    elif args.formats:
        write_formats()
    else:
        write_goldens()
