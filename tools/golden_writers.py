#!/usr/bin/env python3
"""Makes tests/golden/writers.json: how published models that write learn a few rows, by Transformers and torch's AdamW.

    golden_writers.py MODELS OUT.json       MODELS: tests/golden/pipelines

For each way, {"model": its directory, "rows": [[input, text]…], "losses": [the mean loss of five steps over all rows at
once, without dropout], "max_length": tokens of a row, where they are cut}.
The texts have the model's own tokens around them; the loss is what Transformers' forward(labels=…) gives. Needs torch,
transformers, numpy and pillow."""
import json
import os
import sys
import warnings

import torch
import transformers as T
from PIL import Image

from golden_pipelines import RATE, sound

warnings.filterwarnings("ignore")
T.logging.set_verbosity_error()
T.logging.disable_progress_bar()
STEPS, RATE_OF_LEARNING = 5, 2e-3
PICTURES = ["p1.png", "p2.png", "p3.png"]
TEXTS = ["a red square", "the blue circle is small", "it is not the one that we saw"]
QUESTIONS = ["what colour is the circle?", "is it big", "one or two?"]
ANSWERS = ["blue", "no", "it is the small one"]
CONTINUED = [["is it big", "no"], ["what colour is the circle?", "blue"], ["one or two?", "it is the small one that we saw"],
             ["is it one or two?", "it is the small one that we saw, and not the blue circle over there"]]
ROOM = 20  # cuts the third prompt, and the fourth text, of whose prompt one token is left
SOUNDS = [[3 * RATE, 1], [5 * RATE, 2], [4 * RATE, 3]]  # samples, salt of sound()


def padded(sequences, by):
    longest = max(map(len, sequences))
    return torch.tensor([s + [by] * (longest - len(s)) for s in sequences])


def pictures(models, place):
    processor = T.AutoImageProcessor.from_pretrained(place, backend="pil")
    return processor([Image.open(os.path.join(models, p)).convert("RGB") for p in PICTURES], return_tensors="pt")["pixel_values"]


def sequences(tokenizer, prefix, texts, end):
    return [prefix + tokenizer(t, add_special_tokens=False).input_ids + [end] for t in texts]


def captioner(models, place, tokenizer):
    said = sequences(tokenizer, [], TEXTS, 0)  # Transformers puts decoder_start_token_id before them
    given = {"pixel_values": pictures(models, place), "labels": padded(said, -100)}
    return T.VisionEncoderDecoderModel, given, list(zip(PICTURES, TEXTS))


def blip_captioner(models, place, tokenizer):
    said = sequences(tokenizer, [tokenizer.bos_token_id], TEXTS, 3)
    given = {"pixel_values": pictures(models, place), "input_ids": padded(said, 0), "labels": padded(said, -100)}
    return T.BlipForConditionalGeneration, given, list(zip(PICTURES, TEXTS))


def blip_asker(models, place, tokenizer):
    """Row by row: with padded questions Transformers 5.23 gives other logits than with each question alone."""
    seen = pictures(models, place)
    said = sequences(tokenizer, [tokenizer.bos_token_id], ANSWERS, 3)
    given = [{"pixel_values": seen[i:i + 1], "input_ids": torch.tensor([tokenizer(q).input_ids]), "decoder_input_ids": padded(said[i:i + 1], 0),
              "labels": padded(said[i:i + 1], -100)} for i, q in enumerate(QUESTIONS)]
    return T.BlipForQuestionAnswering, given, [[p, q, a] for p, q, a in zip(PICTURES, QUESTIONS, ANSWERS)]


def gpt2(models, place, tokenizer):
    said = sequences(tokenizer, [0], TEXTS, 0)
    return T.GPT2LMHeadModel, {"input_ids": padded(said, 0), "labels": padded(said, -100)}, [[t] for t in TEXTS]


def gpt2_prompted(models, place, tokenizer):
    """Prompts are read, not learned; of ROOM + 1 tokens the text has up to ROOM, the prompt's end what is left."""
    prompts = [tokenizer(p).input_ids for p, _ in CONTINUED]
    texts = [s[:ROOM] for s in sequences(tokenizer, [], [t for _, t in CONTINUED], 0)]
    prompts = [p[-(ROOM + 1 - len(t)):] for p, t in zip(prompts, texts)]
    rows = [p + t for p, t in zip(prompts, texts)]
    given = {"input_ids": padded(rows, 0), "attention_mask": padded([[1] * len(r) for r in rows], 0),
             "labels": padded([[-100] * len(p) + t for p, t in zip(prompts, texts)], -100)}
    return T.GPT2LMHeadModel, given, CONTINUED


def listener(models, place, tokenizer):
    generation = T.GenerationConfig.from_pretrained(place)
    frame = [generation.lang_to_id["<|en|>"], generation.task_to_id["transcribe"], generation.no_timestamps_token_id]
    said = sequences(tokenizer, frame, TEXTS, generation.eos_token_id)  # and <|startoftranscript|> before them
    heard = T.WhisperFeatureExtractor.from_pretrained(place)([sound(*s) for s in SOUNDS], sampling_rate=RATE, return_tensors="pt")
    given = {"input_features": heard.input_features, "labels": padded(said, -100)}
    return T.WhisperForConditionalGeneration, given, [[s, t] for s, t in zip(SOUNDS, TEXTS)]


def weighted(model, rows):
    """The mean over all tokens but the first of each row."""
    counts = [row["labels"].shape[1] - 1 for row in rows]
    return sum(model(**row).loss * n for row, n in zip(rows, counts)) / sum(counts)


def losses(kind, place, given):
    model = kind.from_pretrained(place, dtype=torch.float32).eval()  # no dropout
    for name, p in model.named_parameters():
        if name == "model.encoder.embed_positions.weight":
            p.requires_grad_(False)  # Whisper's sinusoids; a model made anew has it so, one that is loaded forgets it
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE_OF_LEARNING, weight_decay=0)
    found = []
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = model(**given).loss if isinstance(given, dict) else weighted(model, given)
        loss.backward()
        optimiser.step()
        found.append(loss.item())
    return found


def main(models, out):
    all_of = {}
    for make in (captioner, blip_captioner, blip_asker, gpt2, gpt2_prompted, listener):
        name = make.__name__
        model = name.removesuffix("_prompted")
        place = os.path.join(models, model)
        kind, given, rows = make(models, place, T.AutoTokenizer.from_pretrained(place))
        all_of[name] = {"model": model, "rows": rows, "losses": losses(kind, place, given)}
        if model != name:
            all_of[name]["max_length"] = ROOM
        print(name, {k: v.shape for k, v in given.items()} if isinstance(given, dict) else "", all_of[name]["losses"])
    with open(out, "w", encoding="utf-8") as file:
        json.dump({"learning_rate": RATE_OF_LEARNING, "models": all_of}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
