#!/usr/bin/env python3
"""Opens models that learned to write (`sensorium train --model`) with Transformers, and PEFT where they have adapters, and
compares what they write, greedily, with what our own commands say of the same model.

    check_writers.py MODEL... [--sensorium build/sensorium] [--image FILE...] [--sound FILE.wav...] [--text PROMPT...]

Prints one line a model; exits with 1 when one text differs. Needs torch, transformers and pillow, and peft for adapters."""
import argparse, array, json, os, subprocess, sys, warnings, wave
import torch
import transformers as T
from PIL import Image

warnings.filterwarnings("ignore")
T.logging.set_verbosity_error()
T.logging.disable_progress_bar()
TOKENS = 12


def pixels(place, file):
    return T.AutoImageProcessor.from_pretrained(place, backend="pil")(Image.open(file).convert("RGB"), return_tensors="pt")["pixel_values"]


def ours(o, command, model, *words):
    got = subprocess.run([o.sensorium, command, model, *words, "--json", "--precision", "f32"], capture_output=True, text=True)
    if got.returncode:
        raise SystemExit(got.stderr)
    return json.loads(got.stdout.splitlines()[0])


def texts(o, model, place, net, words):
    """(theirs, ours) for each input that the model takes."""
    kind = type(net.get_base_model() if hasattr(net, "get_base_model") else net).__name__
    decode = lambda ids: words.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    most = ["--max-new-tokens", str(TOKENS)]
    if kind == "GPT2LMHeadModel":
        for text in o.text:
            given = words(text, return_tensors="pt")
            yield decode(net.generate(**given, max_new_tokens=TOKENS, do_sample=False)[0][given.input_ids.shape[1]:]), ours(o, "generate", model, text, *most)["text"]
    elif kind == "WhisperForConditionalGeneration":
        for file in o.sound:
            with wave.open(file) as opened:  # 16 bit, one channel
                pcm = torch.tensor(array.array("h", opened.readframes(opened.getnframes()))).numpy() / 32768
                rate = opened.getframerate()
            heard = T.AutoFeatureExtractor.from_pretrained(place)(pcm, sampling_rate=rate, return_tensors="pt").input_features
            yield (decode(net.generate(heard, language="en", task="transcribe", do_sample=False)[0]).strip(),
                   ours(o, "transcribe", model, file, "--language", "en", "--temperature", "0")["text"].strip())
    else:
        asks = kind == "BlipForQuestionAnswering"
        for file in o.image:
            given = {"pixel_values": pixels(place, file)}
            if asks:
                given["input_ids"] = words(o.text[0], return_tensors="pt").input_ids
            ids = net.generate(**given, max_new_tokens=TOKENS, do_sample=False)[0]
            yield decode(ids), ours(o, "ask", model, file, o.text[0], *most)["answer"] if asks else ours(o, "caption", model, file, *most)["text"]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("models", nargs="+")
    p.add_argument("--sensorium", default="build/sensorium")
    p.add_argument("--image", nargs="*", default=[])
    p.add_argument("--sound", nargs="*", default=[])
    p.add_argument("--text", nargs="*", default=["is it big", "a red"])
    o = p.parse_args()
    failed = False
    for model in o.models:
        place = os.path.join(model, "encoders", "writer")
        with open(os.path.join(place, "config.json")) as file:
            name = json.load(file)["architectures"][0]
        adapted = os.path.exists(os.path.join(place, "adapter_config.json"))
        net, info = getattr(T, name).from_pretrained(place, output_loading_info=True, dtype=torch.float32)
        assert not info["missing_keys"] and not info["unexpected_keys"], info
        if adapted and not any("lora_" in part for part, _ in net.named_modules()):
            raise SystemExit("PEFT is needed to open adapters")
        with torch.no_grad():
            pairs = list(texts(o, model, place, net.eval(), T.AutoTokenizer.from_pretrained(place)))
        apart = [pair for pair in pairs if pair[0] != pair[1]]
        failed |= bool(apart) or not pairs
        print(f"{model}: {name}{' with adapters' if adapted else ''}: {len(pairs)} texts, {len(apart)} differ {apart[:2] or ''}, such as {pairs[:1]}")
    sys.exit(failed)


main()
