#!/usr/bin/env python3
"""Writes tests/golden/generate/{timestamps,transcripts}.json: Whisper's rules and its walk through long audio, by
Transformers.

    python3 tools/golden_whisper.py           needs torch and transformers

timestamps.json: rows of tokens and scores -> the tokens that WhisperTimeStampLogitsProcessor leaves. transcripts.json:
options -> the segments of WhisperForConditionalGeneration.generate(), whose logits are replaced by the hash model of
golden_generate.py: they depend on the first frame of the window and on all tokens since.
"""
import random

import numpy as np
import torch
from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration
from transformers.generation.logits_process import WhisperTimeStampLogitsProcessor
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput

import golden_generate as gg

# text 0 .. 59, then as in Whisper's vocabularies; timestamps 71 .. 121 are 0 .. 1 s (a window is 100 frames)
EOS, START, LANGUAGES, TRANSLATE, TASK, PREVIOUS, NO_STAMPS, STAMP, V = 60, 61, (62, 63, 64), 65, 66, 68, 70, 71, 122
WINDOW, POSITIONS = 100, 48
FILE = {"decoder_start_token_id": START, "bos_token_id": EOS, "eos_token_id": EOS, "pad_token_id": EOS, "max_length": POSITIONS,
        "no_timestamps_token_id": NO_STAMPS, "max_initial_timestamp_index": 20, "is_multilingual": True, "return_timestamps": False,
        "lang_to_id": {"<|en|>": 62, "<|de|>": 63, "<|zh|>": 64}, "task_to_id": {"translate": TRANSLATE, "transcribe": TASK},
        "suppress_tokens": [5, 61, 62, 63, 64, 65, 66, 67, 68, 69], "begin_suppress_tokens": [3, EOS]}


def logits_of(case, state):
    with np.errstate(over="ignore"):
        x = np.arange(V, dtype=np.uint32) + np.uint32((state * 40503 + case["salt"] * 7919) % 2**32)
        x = (gg.scramble(x) >> np.uint32(8)).astype(np.float32) / np.float32(2**21)
        noise = gg.scramble(np.array([(state + case["salt"] * 977) % 2**32], dtype=np.uint32))[0] >> np.uint32(8)
    x[STAMP:] += np.float32(case["stamps_by"]) + np.float32(case["stamps_noise"]) * (np.float32(noise) / np.float32(2**24))
    for token, by in case["lift"]:
        x[token] += np.float32(by)
    return torch.from_numpy(x)


class Mock(WhisperForConditionalGeneration):
    def listen(self, case):
        self.case = case
        self.model.encoder.forward = lambda input_features, **kwargs: BaseModelOutput(
            last_hidden_state=input_features[:, :1, ::2].transpose(1, 2).contiguous())
        return self

    def forward(self, input_features=None, decoder_input_ids=None, encoder_outputs=None, **kwargs):
        first = input_features[:, 0, 0] if encoder_outputs is None else encoder_outputs[0][:, 0, 0]
        rows = []
        for frame, tokens in zip(first.tolist(), decoder_input_ids.tolist()):
            state, row = (int(frame) * 131 + 1) % gg.STATES, []
            for t in tokens:
                state = (state * 31 + t + 7) % gg.STATES
                row.append(logits_of(self.case, state))
            rows.append(torch.stack(row))
        return Seq2SeqLMOutput(logits=torch.stack(rows))


def new_model(case):
    torch.manual_seed(1)
    model = Mock(WhisperConfig(vocab_size=V, num_mel_bins=4, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
                               decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_source_positions=WINDOW // 2,
                               max_target_positions=POSITIONS, decoder_start_token_id=START, eos_token_id=EOS, pad_token_id=EOS,
                               bos_token_id=EOS)).eval().listen(case)
    # without the key Transformers puts the token twice before a prompt; FILE itself leaves it to suppress_tokens[-2]
    previous = {"prev_sot_token_id": PREVIOUS} if case["prompt"] else {}
    model.generation_config = GenerationConfig(**FILE, **previous, use_cache=False)
    return model


def transcribe(case):
    options = dict(case["options"])
    frames = torch.zeros(1, 4, case["frames"])
    frames[0, 0] = torch.arange(case["frames"])
    if case["prompt"]:
        options["prompt_ids"] = torch.tensor([PREVIOUS] + case["prompt"])
    if isinstance(options.get("temperature"), list):
        options["temperature"] = tuple(options["temperature"])
    with torch.no_grad():
        out = new_model(case).generate(frames, return_segments=True, **options)
    return [{"start": float(s["start"]), "end": float(s["end"]), "tokens": s["tokens"].tolist()} for s in out["segments"][0]]


def transcripts():
    cases, r = [], random.Random(3)
    for i in range(60):
        options = {"temperature": r.choice([[0.0], [0.0, 0.0]]), "return_timestamps": r.random() < 0.6}
        case = {"salt": 300 + i, "frames": r.choice([40, 57, 100, 100, 130, 251, 400, 733]), "stamps_by": r.choice([-5.0, -4.0, -3.0]),
                "stamps_noise": r.choice([2.0, 4.0]), "lift": [[EOS, r.choice([0.5, 1.5, 2.5])]], "prompt": [], "options": options}
        if case["frames"] > WINDOW:
            options["return_timestamps"] = True
        if r.random() < 0.5:
            options["language"] = r.choice(["en", "de", "<|zh|>"])
        if r.random() < 0.3:
            options["task"] = r.choice(["translate", "transcribe"])
        else:
            options.setdefault("language", "de")  # neither: Transformers leaves the task out of the prompt
        if r.random() < 0.5:
            options["condition_on_prev_tokens"] = True
        if r.random() < 0.3:
            options["num_beams"] = r.randint(2, 4)
        if r.random() < 0.3:
            case["prompt"] = [r.randrange(60) for _ in range(r.choice([2, 7]))]
        if r.random() < 0.3:
            options["max_new_tokens"] = 9
        if r.random() < 0.6:  # some windows are silent, some too unsure
            options.update(logprob_threshold=r.choice([-1.5, -2.2, -3.0]), no_speech_threshold=r.choice([0.002, 0.01]),
                           compression_ratio_threshold=1.35)
        else:
            options.update(logprob_threshold=-1e9, no_speech_threshold=1.0, compression_ratio_threshold=1e9)
        case["segments"] = transcribe(case)
        cases.append(case)
    return cases


def timestamps():
    cases, r, generator = [], random.Random(4), torch.Generator().manual_seed(4)
    for i in range(120):
        begin, first = r.choice([1, 3, 5]), r.choice([None, 0, 4])
        text, last = [], STAMP
        for _ in range(r.choice([0, 0, 1, 2, 3, 6])):
            if r.random() < 0.55:
                last = min(V - 1, last + r.choice([0, 0, 1, 5]))
                text.append(last)
            else:
                text.append(r.randrange(60))
        config = GenerationConfig(eos_token_id=EOS, no_timestamps_token_id=NO_STAMPS, max_initial_timestamp_index=first)
        tokens = [r.randrange(60) for _ in range(begin)] + text
        scores = torch.round(torch.randn(1, V, generator=generator) * 2048) / 1024
        scores[:, STAMP:] += r.choice([-4.0, -2.0, 0.0])
        out = WhisperTimeStampLogitsProcessor(config, begin_index=begin)(torch.tensor([tokens]), scores)[0]
        cases.append({"begin": begin, "most_first": -1 if first is None else first, "tokens": tokens,
                      "scores": [round(x * 1024) for x in scores[0].tolist()], "kept": [k for k in range(V) if out[k] > -float("inf")]})
    return cases


if __name__ == "__main__":
    torch.set_num_threads(1)
    gg.write("timestamps.json", timestamps())
    gg.write("transcripts.json", [{"file": FILE, "window": WINDOW, "positions": POSITIONS, "vocabulary": V, "stamps": STAMP}] + transcripts())
