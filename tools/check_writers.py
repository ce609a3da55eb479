#!/usr/bin/env python3
"""Opens models that learned to write (`sensorium train --model`) with Transformers, and PEFT where they have adapters, and
compares what they write, greedily, with what our own commands say of the same model.

    check_writers.py MODEL... [--sensorium build/sensorium] [--image FILE...] [--sound FILE.wav...] [--text PROMPT...]

Prints one line a model; exits with 1 when one text differs. Needs torch, transformers and pillow, and peft for adapters."""
import argparse, os, sys
import torch
import transformers as T

from trained_models import arguments, opened, ours, pixels, samples

TOKENS = 12


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
            pcm, rate = samples(file)
            heard = T.AutoFeatureExtractor.from_pretrained(place)(pcm.numpy(), sampling_rate=rate, return_tensors="pt").input_features
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
    o = arguments(p, image=[], sound=[], text=["is it big", "a red"])
    failed = False
    for model in o.models:
        place = os.path.join(model, "encoders", "writer")
        net, what = opened(place)
        with torch.no_grad():
            pairs = list(texts(o, model, place, net, T.AutoTokenizer.from_pretrained(place)))
        apart = [pair for pair in pairs if pair[0] != pair[1]]
        failed |= bool(apart) or not pairs
        print(f"{model}: {what}: {len(pairs)} texts, {len(apart)} differ {apart[:2] or ''}, such as {pairs[:1]}")
    sys.exit(failed)


main()
