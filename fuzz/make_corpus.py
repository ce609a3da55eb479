#!/usr/bin/env python3
"""The seeds of fuzz_adapters, fuzz_bare_weights, fuzz_config and fuzz_generation: make_corpus.py CORPUS GOLDEN

CORPUS is fuzz/corpus, GOLDEN tests/golden, whose tiny models' files are the good seeds; the bad ones are theirs with one
thing wrong. Needs no package."""
import json
import os
import struct
import sys

corpus, golden = sys.argv[1:]


def put(target, name, data):
    os.makedirs(os.path.join(corpus, target), exist_ok=True)
    with open(os.path.join(corpus, target, name), "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def tensors(**shapes):
    """A safetensors file of F32 zeros; a shape may be (shape, dtype)."""
    header, at = {}, 0
    for name, shape in shapes.items():
        shape, dtype = shape if isinstance(shape, tuple) else (shape, "F32")
        size = {"F32": 4, "F16": 2, "I64": 8}[dtype]
        for d in shape:
            size *= d
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(i % 61 for i in range(at))


def adapters():
    good = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["query"], "bias": "none"}
    a, b = "base_model.model.a.query.lora_A.weight", "base_model.model.a.query.lora_B.weight"
    pair = {a: [2, 3], b: [4, 2]}

    def one(name, config, shapes):
        text = config if isinstance(config, str) else json.dumps(config)
        put("adapters", name, text.encode() + b"\0" + (shapes if isinstance(shapes, bytes) else tensors(**shapes)))

    one("good", good, pair)
    one("two", good, {**pair, a.replace("query", "value"): [2, 4], b.replace("query", "value"): ([3, 2], "F16")})
    one("turned", {**good, "fan_in_fan_out": True}, {a: [2, 4], b: [3, 2]})
    one("alone", good, {a: [2, 3]})
    one("second_alone", good, {b: [4, 2]})
    one("rank", {**good, "r": 3}, pair)
    one("shape", good, {a: [2, 5], b: [4, 2]})
    one("flat", good, {a: [6], b: [8]})
    one("whole_numbers", good, {a: ([2, 3], "I64"), b: [4, 2]})
    one("nothing", good, {})
    one("stranger", good, {"w": [2]})
    one("module", good, {a.replace("query", "none"): [2, 3], b.replace("query", "none"): [4, 2]})
    for key, value in {"r": 0, "lora_alpha": 1e300, "use_dora": True, "bias": "all", "peft_type": "LOHA", "rank_pattern": {"x": 3},
                       "fan_in_fan_out": 1}.items():
        one("bad_" + key, {**good, key: value}, pair)
    one("list", "[1]", pair)
    one("no_weights", good, b"")
    one("cut", good, tensors(**pair)[:-9])


def bare():
    speaker = {"model_state.linear.weight": [4, 5], "model_state.linear.bias": [4]}
    for layer in range(2):
        speaker.update({"model_state.lstm.weight_ih_l%d" % layer: [20, 5 if layer else 3], "model_state.lstm.weight_hh_l%d" % layer: [20, 5],
                        "model_state.lstm.bias_ih_l%d" % layer: [20], "model_state.lstm.bias_hh_l%d" % layer: [20]})
    for name, changes in {"good": {}, "ignored": {"optimizer_state.x": [2], "step": []}, "extra": {"x": [1]}, "flat": {"model_state.linear.weight": [20]},
                          "narrow": {"model_state.lstm.weight_ih_l0": [20, 0]}, "deep": {"model_state.lstm.weight_ih_l2": [20, 5]},
                          "wrong": {"model_state.lstm.weight_hh_l1": [5, 20]}, "empty": {"model_state.linear.weight": [0, 0]}}.items():
        put("bare_weights", "speaker_" + name, tensors(**{**speaker, **changes}))
    del speaker["model_state.lstm.bias_hh_l1"]
    put("bare_weights", "speaker_missing", tensors(**speaker))
    for name, shape in {"good": [7, 3], "row": [1, 1], "flat": [21], "empty": [0, 3], "narrow": [3, 0], "deep": [2, 2, 2], "half": ([7, 3], "F16"),
                        "whole": ([7, 3], "I64")}.items():
        put("bare_weights", "words_" + name, tensors(**{"embedding.weight": shape}))
    put("bare_weights", "words_and_more", tensors(**{"embedding.weight": [7, 3], "x": [1]}))
    put("bare_weights", "nobody", tensors(x=[2]))
    put("bare_weights", "pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    with open(os.path.join(golden, "pipelines", "speaker.pt"), "rb") as f:
        data = f.read()
    if len(data) < 1 << 16:
        put("bare_weights", "speaker.pt", data)


def configs():
    pages = os.path.join(golden, "pages")
    for page in sorted(os.listdir(pages)): # what one wrong size does: tests/models/test_page_configs.c
        with open(os.path.join(pages, page, "config.json")) as f:
            put("config", page, json.dumps(json.load(f)))
    for name, text in {"empty": "", "list": "[]", "none": "{}", "type": '{"model_type": 3}', "stranger": '{"model_type": "bard"}',
                       "timm": '{"architecture": "resnet18", "num_classes": 3}', "timm_vgg": '{"architecture": "vgg11", "num_classes": 3}',
                       "timm_args": '{"architecture": "resnet26", "model_args": {"layers": [1000000000], "channels": [8]}}',
                       "within": '{"model_type": "vision-encoder-decoder", "encoder": {"model_type": "vision-encoder-decoder"}}',
                       "parts": '{"model_type": "clip", "text_config": 3}',
                       "mute": '{"model_type": "whisper", "decoder_layers": 0}'}.items():
        put("config", "small_" + name, text)


def generation():
    for folder in ["captioner", "gpt2", "listener", "blip_captioner"]:
        with open(os.path.join(golden, "pipelines", folder, "generation_config.json")) as f:
            put("generation", folder, f.read())
    keys = {"max_length": 10**12, "min_length": 9, "num_beams": 4, "num_return_sequences": 3, "no_repeat_ngram_size": 2**31 - 1, "top_k": 3,
            "length_penalty": -100, "repetition_penalty": 1e30, "temperature": 1e-30, "top_p": 0, "min_p": 1, "early_stopping": "never",
            "do_sample": True, "bos_token_id": 99, "pad_token_id": 2**31 - 1, "forced_bos_token_id": 99, "forced_eos_token_id": 99,
            "eos_token_id": [0, 1, 2, 3, 4, 5, 6, 7], "suppress_tokens": list(range(-1, 20)), "begin_suppress_tokens": [2**31 - 1],
            "bad_words_ids": [[1, 2], [99], [3]], "seed": 2**63 - 1, "max_new_tokens": 0, "stop_strings": ["a"]}
    for key, value in keys.items():
        put("generation", key, json.dumps({key: value}))
        put("generation", key + "_beams", json.dumps({"num_beams": 3, "do_sample": True, "max_new_tokens": 5, key: value}))
    for name, text in {"empty": "", "list": "[]", "nulls": json.dumps(dict.fromkeys(keys)),
                       "languages": '{"is_multilingual": true, "lang_to_id": {"<|en|>": 3, "<|de|>": "x"}, "task_to_id": {"transcribe": 5}, "no_timestamps_token_id": 7}',
                       "alignment": '{"alignment_heads": [[0, 1e9]], "max_initial_timestamp_index": -5, "prev_sot_token_id": 1}'}.items():
        put("generation", name, text)


adapters()
bare()
configs()
generation()
