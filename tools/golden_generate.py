#!/usr/bin/env python3
"""Writes tests/golden/generate/*.json: what generate() of Transformers makes of a model that both sides compute.

    python3 tools/golden_generate.py          needs torch and transformers

The model has no weights: its logits are a hash of (salt, all tokens of the row so far, token), and tests/generate
computes the same hash, so a row that continues the wrong parent gives other tokens. texts.json holds cases: prompts and
a generation config -> sequences (new tokens up to the end token) and scores. warpers.json holds scores with ties and the
tokens that stay after temperature, top-k, top-p and min-p.
"""
import json
import os
import random

import numpy as np
import torch
from transformers import GenerationConfig, GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.generation import logits_process as lp
from transformers.modeling_outputs import CausalLMOutput

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "generate")
STATES = 65521


def scramble(x):
    x = (x * np.uint32(2654435761)) & np.uint32(0xFFFFFFFF)
    x ^= x >> np.uint32(15)
    x *= np.uint32(2246822519)
    x ^= x >> np.uint32(13)
    x *= np.uint32(3266489917)
    return x ^ (x >> np.uint32(16))


def logits_of(case, tokens):
    """[V] f32 in [0, 8): 24 bits of a hash of the row's state and the token; some tokens are lifted."""
    state = 0
    for t in tokens:
        state = (state * 31 + t + 7) % STATES
    with np.errstate(over="ignore"):
        x = np.arange(case["vocabulary"], dtype=np.uint32) + np.uint32((state * 40503 + case["salt"] * 7919) % 2**32)
        x = (scramble(x) >> np.uint32(8)).astype(np.float32) / np.float32(2**21)
    for token, by in case["lift"]:
        x[token] += np.float32(by)
    return torch.from_numpy(x)


class HashConfig(PreTrainedConfig):
    model_type = "hash"


class HashModel(PreTrainedModel, GenerationMixin):
    config_class = HashConfig

    def __init__(self, config, case):
        super().__init__(config)
        self.case, self.weight = case, torch.nn.Parameter(torch.zeros(1))

    def forward(self, input_ids=None, return_dict=True, **kwargs):
        rows = [logits_of(self.case, row) for row in input_ids.tolist()]
        return CausalLMOutput(logits=torch.stack(rows)[:, None, :])


def cut(tokens, eos):
    for i, t in enumerate(tokens):
        if t in eos:
            return tokens[: i + 1]
    return tokens


def run(case):
    config = case["config"]
    eos = config.get("eos_token_id", [])
    eos = [eos] if isinstance(eos, int) else eos
    model = HashModel(HashConfig(vocab_size=case["vocabulary"]), case)
    generation = GenerationConfig(**config, pad_token_id=0, use_cache=False, return_dict_in_generate=True, output_scores=True)
    model.generation_config = GenerationConfig()
    prompt = torch.tensor(case["prompt"])
    with torch.no_grad():
        out = model.generate(prompt, generation_config=generation)
    sequences = [cut(row, eos) for row in out.sequences[:, prompt.shape[1]:].tolist()]
    if config.get("num_beams", 1) > 1:
        return sequences, out.sequences_scores.tolist()
    scores = [sum(torch.log_softmax(out.scores[k][r].double(), -1)[t].item() for k, t in enumerate(row))
              for r, row in enumerate(sequences)]
    return sequences, scores


def add(cases, name, prompt, lift=(), vocabulary=40, **config):
    case = {"name": name, "vocabulary": vocabulary, "salt": len(cases) + 1, "lift": [list(x) for x in lift], "prompt": prompt,
            "config": config}
    case["sequences"], case["scores"] = run(case)
    if all(s > -1e6 for s in case["scores"]):  # rules that leave no token: a guess there, an error here
        cases.append(case)


def chosen_cases(cases):
    one, three, long = [[3]], [[3, 5], [9, 9], [1, 30]], [[4, 5, 4, 5, 6, 4, 5]]
    add(cases, "greedy, default length", one)
    add(cases, "greedy, batch, ends at different times", [[i, 2] for i in range(8)], [(7, 5)], max_new_tokens=14, eos_token_id=7)
    add(cases, "greedy, max_length", three, max_length=9)
    add(cases, "greedy, three end tokens", three, [(7, 3), (8, 3)], eos_token_id=[7, 8, 9], max_new_tokens=12)
    add(cases, "greedy, repetition penalty", long, max_new_tokens=16, repetition_penalty=1.7)
    add(cases, "greedy, repetition reward", long, max_new_tokens=8, repetition_penalty=0.5)
    for n in (1, 2, 3, 20):
        add(cases, f"greedy, {n}-grams once", long, vocabulary=16, max_new_tokens=9, no_repeat_ngram_size=n)
    add(cases, "greedy, min_length", three, [(7, 9)], eos_token_id=7, max_length=12, min_length=8)
    add(cases, "greedy, min_new_tokens", three, [(7, 9)], eos_token_id=7, max_length=12, min_new_tokens=4, min_length=3)
    add(cases, "greedy, suppress", three, [(5, 9), (6, 8)], max_new_tokens=5, suppress_tokens=[5, 6, 39])
    add(cases, "greedy, begin_suppress", three, [(5, 9), (6, 8)], max_new_tokens=5, begin_suppress_tokens=[5])
    add(cases, "greedy, begin_suppress after forced bos", one, [(5, 9)], max_new_tokens=5, begin_suppress_tokens=[5], forced_bos_token_id=5)
    add(cases, "greedy, forced bos and eos", one, max_length=6, forced_bos_token_id=11, forced_eos_token_id=7, eos_token_id=7)
    add(cases, "greedy, forced bos is off after two tokens", three, max_length=6, forced_bos_token_id=11)
    add(cases, "greedy, bad words", three, [(5, 9), (6, 8)], max_new_tokens=8, eos_token_id=7, bad_words_ids=[[5], [7], [6, 6], [6, 1, 2]])
    add(cases, "greedy, large vocabulary", three, vocabulary=5003, max_new_tokens=6, eos_token_id=7)
    for beams in (2, 3, 4, 5):
        add(cases, f"{beams} beams", three, [(7, 2)], num_beams=beams, max_new_tokens=10, eos_token_id=7)
        add(cases, f"{beams} beams, all returned", three, [(7, 2)], num_beams=beams, num_return_sequences=beams, max_new_tokens=10, eos_token_id=7)
    for early in (False, True, "never"):
        for penalty in (-1.0, 0.0, 0.6, 1.0, 2.0):
            add(cases, f"beams, early_stopping {early}, length_penalty {penalty}", three, [(7, 3)], num_beams=3, num_return_sequences=3,
                max_new_tokens=12, eos_token_id=7, early_stopping=early, length_penalty=penalty)
    add(cases, "beams, no end token", three, num_beams=3, max_new_tokens=6)
    add(cases, "beams, three end tokens", three, [(7, 2), (8, 2), (9, 2)], num_beams=4, num_return_sequences=4, max_new_tokens=9, eos_token_id=[7, 8, 9])
    add(cases, "beams, summaries' rules", one, [(7, 4)], num_beams=4, max_length=14, min_length=6, no_repeat_ngram_size=2, length_penalty=2.0,
        early_stopping=True, forced_bos_token_id=1, forced_eos_token_id=7, eos_token_id=7)
    add(cases, "beams, translation's rules", one, [(7, 4), (39, 5)], num_beams=4, max_length=14, forced_eos_token_id=7, eos_token_id=7,
        bad_words_ids=[[39]], renormalize_logits=True)
    add(cases, "beams, repetition penalty", long, num_beams=3, max_new_tokens=8, repetition_penalty=1.4, eos_token_id=7)
    add(cases, "beams, begin_suppress", three, [(7, 9)], num_beams=3, max_new_tokens=8, begin_suppress_tokens=[7], suppress_tokens=[1, 2], eos_token_id=7)
    add(cases, "beams, large vocabulary", three, [(7, 2)], vocabulary=5003, num_beams=5, num_return_sequences=2, max_new_tokens=7, eos_token_id=7)
    add(cases, "beams, one new token", three, num_beams=3, num_return_sequences=3, max_new_tokens=1)


def random_case(cases, r):
    eos = r.choice([7, [7, 8], [7, 8, 9], None])
    length = r.choice([1, 1, 2, 5])
    lift = [(t, r.uniform(0, 4)) for t in ([eos] if isinstance(eos, int) else eos or [])]
    config = {"max_new_tokens": r.randint(1, 14)} if r.random() < 0.7 else {"max_length": length + r.randint(1, 14)}
    if eos:
        config["eos_token_id"] = eos
    if r.random() < 0.75:
        config["num_beams"] = r.randint(2, 5)
        config["num_return_sequences"] = r.randint(1, config["num_beams"])
        config["early_stopping"] = r.choice([False, True, "never"])
        config["length_penalty"] = r.choice([1.0, 1.0, 0.0, 0.7, 2.0, -0.5])
    for key, values in {"repetition_penalty": [1.2, 0.8], "no_repeat_ngram_size": [2, 3], "min_length": [3, 6], "min_new_tokens": [2, 4],
                        "suppress_tokens": [[1, 2, 3]], "begin_suppress_tokens": [[4, 7]], "forced_bos_token_id": [6],
                        "forced_eos_token_id": [7], "bad_words_ids": [[[10], [11, 12]]], "renormalize_logits": [True]}.items():
        if r.random() < 0.2:
            config[key] = r.choice(values)
    prompt = [[r.randrange(30) for _ in range(length)] for _ in range(r.randint(1, 4))]
    add(cases, f"random {len(cases)}", prompt, lift, vocabulary=r.choice([20, 40, 333]), **config)


def warper_cases():
    """Scores of one row, options -> the tokens that stay, and their scores. The order in which torch leaves equal scores
    depends on the processor, so which of them top-p keeps (and min-p, of its least number) is made definite here: by
    stable sorts."""
    sort = torch.sort
    torch.sort = lambda x, descending=False: sort(x, stable=True, descending=descending)
    torch.topk = lambda x, k, dim=-1: torch.return_types.topk(tuple(y[..., :k] for y in torch.sort(x, descending=True)))
    cases, generator = [], torch.Generator().manual_seed(11)
    for n, step in ((50, 0.0), (50, 0.5), (200, 0.25), (1000, 0.0), (1000, 1.0)):
        scores = torch.randn(n, generator=generator) * 2
        if step:
            scores = torch.round(scores / step) * step  # many ties
        scores = torch.round(scores * 4096) / 4096
        if n == 200:
            scores[::3] = -float("inf")
        for config in ({"temperature": 0.7}, {"top_k": 5}, {"top_k": 1}, {"top_k": 40}, {"top_k": 5000}, {"top_p": 0.9}, {"top_p": 0.3},
                       {"top_p": 0.999}, {"top_p": 0.0}, {"min_p": 0.1}, {"min_p": 1.0}, {"temperature": 1.9, "top_k": 20, "top_p": 0.8},
                       {"temperature": 0.5, "top_p": 0.95, "min_p": 0.02}, {"top_p": 0.01, "least": 4}, {"top_k": 2, "least": 3},
                       {"min_p": 0.9, "least": 3}):
            least = config.get("least", 1)
            steps = []
            if "temperature" in config:
                steps.append(lp.TemperatureLogitsWarper(config["temperature"]))
            if "top_k" in config:
                steps.append(lp.TopKLogitsWarper(config["top_k"], min_tokens_to_keep=least))
            if "top_p" in config:
                steps.append(lp.TopPLogitsWarper(config["top_p"], min_tokens_to_keep=least))
            if "min_p" in config:
                steps.append(lp.MinPLogitsWarper(config["min_p"], min_tokens_to_keep=least))
            out = lp.LogitsProcessorList(steps)(None, scores[None].clone())[0]
            kept = [i for i in range(n) if out[i] > -float("inf")]
            cases.append({"scores": [None if x == -float("inf") else round(x * 4096) for x in scores.tolist()], "config": config, "kept": kept,
                          "first": out[kept[0]].item()})
    shared = []  # the scores once for each group of options
    for c in cases:
        if not shared or shared[-1]["scores"] != c["scores"]:
            shared.append({"scores": c["scores"], "options": []})
        shared[-1]["options"].append({k: c[k] for k in ("config", "kept", "first")})
    return shared


def write(name, value):
    os.makedirs(FOLDER, exist_ok=True)
    with open(os.path.join(FOLDER, name), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(x, separators=(",", ":")) for x in value) + "\n]\n")
    print(name, len(value), "entries", os.path.getsize(os.path.join(FOLDER, name)), "bytes")


if __name__ == "__main__":
    torch.set_num_threads(1)
    cases, r = [], random.Random(5)
    chosen_cases(cases)
    for _ in range(120):
        random_case(cases, r)
    write("texts.json", cases)
    write("warpers.json", warper_cases())
