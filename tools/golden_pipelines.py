#!/usr/bin/env python3
"""Makes tests/golden/pipelines: whole tiny models with random weights, as Transformers saves them (configuration, weights,
tokenizer, picture processor), and what Transformers gives with them for a few inputs.

    golden_pipelines.py OUT [NAME...]

OUT/NAME/            the model's directory
OUT/NAME.json        {"texts": […], "vectors": [[…]]} and the like, by Transformers

Needs torch, transformers, tokenizers, numpy and pillow."""
import json
import os
import shutil
import sys
import warnings

import torch
import transformers as T
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

warnings.filterwarnings("ignore")
T.logging.set_verbosity_error()
T.logging.disable_progress_bar()
SPOKEN = ["a red square", "the blue circle is small", "a green triangle and a red circle", "what colour is it", "big", "yes no",
          "one two three four five six seven eight nine ten", "Größe, naïve café!", "it is not the one that we saw"]
TEXTS = ["a red square", "", "what colour is the small circle, and is it big or not?", "Blue", "naïve Größe", "one two three " * 12]


def word_pieces():
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=True)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.train_from_iterator(SPOKEN, trainers.WordPieceTrainer(vocab_size=90, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                                     special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return T.PreTrainedTokenizerFast(tokenizer_object=t, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
                                     mask_token="[MASK]", model_max_length=24)


def byte_level(special):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(SPOKEN, trainers.BpeTrainer(vocab_size=300, special_tokens=special,
                                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return t


def byte_pairs():
    t = byte_level(["<|endoftext|>"])
    return T.PreTrainedTokenizerFast(tokenizer_object=t, bos_token="<|endoftext|>", eos_token="<|endoftext|>",
                                     unk_token="<|endoftext|>", pad_token="<|endoftext|>")


def write(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=1)
        file.write("\n")


def lively(model):
    """Larger weights than a fresh model's: else every text gives nearly the same vector and every step the same token."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() > 1:
                p.copy_(torch.randn_like(p) * 0.35)
    return model.eval()


def sentences(out, name, modules, pooling, pool, most=16):
    """A sentence encoder: BERT, and sentence-transformers' files beside it."""
    tokenizer = word_pieces()
    model = lively(T.BertModel(T.BertConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
                                            vocab_size=len(tokenizer), max_position_embeddings=24)))
    folder = os.path.join(out, name)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    kinds = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    if modules:
        write(os.path.join(folder, "modules.json"), [{"idx": i, "name": str(i), "path": kinds[m], "type": "sentence_transformers.models." + m}
                                                     for i, m in enumerate(modules)])
        os.makedirs(os.path.join(folder, "1_Pooling"))
        write(os.path.join(folder, "1_Pooling", "config.json"), {"word_embedding_dimension": 16, **pooling})
        write(os.path.join(folder, "sentence_bert_config.json"), {"max_seq_length": most, "do_lower_case": False})
    vectors, ids = [], []
    with torch.no_grad():
        for text in TEXTS:
            given = tokenizer(text, truncation=True, max_length=most if modules else 24, return_tensors="pt")
            vectors.append(pool(model(**given).last_hidden_state[0]).tolist())
            ids.append(tokenizer(text)["input_ids"])
    write(os.path.join(out, name + ".json"), {"texts": TEXTS, "ids": ids, "vectors": vectors})


def unit(x):
    return torch.nn.functional.normalize(x, dim=0)


def gpt2(out, name):
    tokenizer = byte_pairs()
    model = lively(T.GPT2LMHeadModel(T.GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=len(tokenizer), n_positions=48,
                                                  bos_token_id=0, eos_token_id=0)))
    folder = os.path.join(out, name)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    runs = []
    for prompt in ("a red square", "one two", "it is"):
        for options in ({"max_new_tokens": 12}, {"max_new_tokens": 10, "num_beams": 4},
                        {"max_length": 20, "num_beams": 3, "length_penalty": 2.0, "no_repeat_ngram_size": 2}):
            given = tokenizer(prompt, return_tensors="pt")
            ids = model.generate(**given, do_sample=False, pad_token_id=0, **options)[0][given["input_ids"].shape[1]:]
            runs.append({"prompt": prompt, "options": options, "tokens": ids.tolist(),
                         "text": tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)})
    write(os.path.join(out, name + ".json"), {"runs": runs})


def picture_file(path, shade):
    import numpy
    from PIL import Image
    y, x = numpy.mgrid[0:20, 0:26]
    Image.fromarray(numpy.stack([(x * 9 + shade) % 256, (y * 11 + 2 * shade) % 256, (x * y + shade) % 256], -1).astype("uint8")).save(path)
    return Image.open(path).convert("RGB")


PICTURES = {"p1.png": 10, "p2.png": 130, "p3.png": 220}


def pictures(out):
    return {name: picture_file(os.path.join(out, name), shade) for name, shade in PICTURES.items()}


IMAGE = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, image_size=12, patch_size=4)


def small_vit(out, name):
    torch.manual_seed(5)
    model = lively(T.ViTModel(T.ViTConfig(**IMAGE)))
    processor = T.ViTImageProcessorPil(size={"height": 12, "width": 12})
    folder = os.path.join(out, name)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    vectors = []
    with torch.no_grad():
        for picture in pictures(out).values():
            vectors.append(model(**processor(picture, return_tensors="pt")).pooler_output[0].tolist())
    write(os.path.join(out, name + ".json"), {"images": list(PICTURES), "vectors": vectors})


def captioner(out, name):
    tokenizer = byte_pairs()
    decoder = T.GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=len(tokenizer), n_positions=32, add_cross_attention=True,
                           is_decoder=True, bos_token_id=0, eos_token_id=0)
    config = T.VisionEncoderDecoderConfig.from_encoder_decoder_configs(T.ViTConfig(**IMAGE), decoder)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 0, 0, 0
    model = lively(T.VisionEncoderDecoderModel(config=config))
    model.generation_config = T.GenerationConfig(decoder_start_token_id=0, pad_token_id=0, eos_token_id=0, bos_token_id=0)
    processor = T.ViTImageProcessorPil(size={"height": 12, "width": 12})
    folder = os.path.join(out, name)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor.save_pretrained(folder)
    runs = []
    for file, picture in pictures(out).items():
        for options in ({"max_length": 16}, {"max_length": 16, "num_beams": 4}):
            pixels = processor(picture, return_tensors="pt")
            ids = model.generate(**pixels, do_sample=False, **options)[0]
            kept = ids[1:].tolist()
            runs.append({"image": file, "options": options, "tokens": kept,
                         "text": tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)})
        for options in ({"max_length": 16}, {"max_new_tokens": 6, "num_beams": 4}):
            begun = [0] + tokenizer("a big").input_ids
            ids = model.generate(**pixels, decoder_input_ids=torch.tensor([begun]), do_sample=False, **options)[0]
            runs.append({"image": file, "options": {**options, "prompt": "a big"}, "tokens": ids[len(begun):].tolist(),
                         "text": tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)})
    write(os.path.join(out, name + ".json"), {"runs": runs})


def matcher(out, name, make, tokenizer, processor, padding=False):
    """A model that compares pictures with texts."""
    torch.manual_seed(12)
    model = lively(make(tokenizer))
    folder = os.path.join(out, name)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor.save_pretrained(folder)
    labels = ["red square", "blue circle", "green"]
    rows, vectors, words = [], [], []
    with torch.no_grad():
        texts = [tokenizer("a photo of a " + label, return_tensors="pt", padding=padding) for label in labels]
        for t in texts:
            e = model.get_text_features(**t)
            words.append(unit((e if torch.is_tensor(e) else e.pooler_output)[0]))
        for picture in pictures(out).values():
            given = processor(picture, return_tensors="pt")
            e = model.get_image_features(**given)
            vectors.append(unit((e if torch.is_tensor(e) else e.pooler_output)[0]))
            logits = torch.stack([model(**given, **t).logits_per_image[0, 0] for t in texts])
            rows.append((logits.sigmoid() if padding else logits.softmax(0)).tolist())
    write(os.path.join(out, name + ".json"), {"images": list(PICTURES), "labels": labels, "template": "a photo of a {}", "probabilities": rows,
                                              "image_vectors": [v.tolist() for v in vectors], "text_vectors": [w.tolist() for w in words]})


TEXT = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, max_position_embeddings=24)
CROP = dict(size={"shortest_edge": 12}, crop_size={"height": 12, "width": 12})


def clip(out, name):
    tokenizer = byte_pairs()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)])
    matcher(out, name, lambda t: T.CLIPModel(T.CLIPConfig(text_config={**TEXT, "vocab_size": len(t), "bos_token_id": 1, "eos_token_id": 0,
                                                                       "pad_token_id": 0}, vision_config=IMAGE, projection_dim=12)),
            tokenizer, T.CLIPImageProcessorPil(**CROP))


def chinese_clip(out, name):
    matcher(out, name, lambda t: T.ChineseCLIPModel(T.ChineseCLIPConfig(text_config={**TEXT, "vocab_size": len(t)}, vision_config=IMAGE,
                                                                        projection_dim=12)),
            word_pieces(), T.ChineseCLIPImageProcessorPil(**CROP))


def siglip(out, name):
    tokenizer = word_pieces()
    tokenizer.model_input_names = ["input_ids"]
    matcher(out, name, lambda t: T.SiglipModel(T.SiglipConfig(text_config={**TEXT, "vocab_size": len(t)}, vision_config=IMAGE)),
            tokenizer, T.SiglipImageProcessorPil(size={"height": 12, "width": 12}), padding="max_length")


KINDS = ["cat", "dog", "naïve bird"]


def classes(out, name, make, processor=None, several=False):
    """A head of classes: over pictures with a processor, else over texts."""
    torch.manual_seed(13)
    tokenizer = None if processor else word_pieces()
    model = lively(make({"id2label": dict(enumerate(KINDS)), "label2id": {l: i for i, l in enumerate(KINDS)},
                         "problem_type": "multi_label_classification" if several else "single_label_classification"}, tokenizer))
    folder = os.path.join(out, name)
    model.save_pretrained(folder)
    (processor or tokenizer).save_pretrained(folder)
    items = list(pictures(out).values()) if processor else TEXTS
    rows = []
    with torch.no_grad():
        for item in items:
            given = processor(item, return_tensors="pt") if processor else tokenizer(item, truncation=True, max_length=24, return_tensors="pt")
            logits = model(**given).logits[0]
            rows.append((logits.sigmoid() if several else logits.softmax(0)).tolist())
    write(os.path.join(out, name + ".json"), {**({"images": list(PICTURES)} if processor else {"texts": TEXTS}), "labels": KINDS, "probabilities": rows})


def classes_resnet(out, name):
    classes(out, name, lambda heads, t: T.ResNetForImageClassification(T.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1],
                                                                                      layer_type="basic", **heads)),
            T.ViTImageProcessorPil(size={"height": 32, "width": 32}))


class Matching(T.BlipForImageTextRetrieval):
    """By the two projections, without the head that looks at both."""
    def get_text_features(self, input_ids, attention_mask=None, **_):
        return self.text_proj(self.text_encoder(input_ids=input_ids, attention_mask=attention_mask)[0][:, 0])

    def get_image_features(self, pixel_values):
        return self.vision_proj(self.vision_model(pixel_values=pixel_values)[0][:, 0])

    def forward(self, pixel_values, input_ids, **given):
        out = super().forward(pixel_values=pixel_values, input_ids=input_ids, attention_mask=given.get("attention_mask"), use_itm_head=False)
        return T.models.blip.modeling_blip.BlipOutput(logits_per_image=out.itm_score)


Matching.__name__ = "BlipForImageTextRetrieval"  # what is saved


def blip_matcher(out, name):
    matcher(out, name, lambda t: Matching(T.BlipConfig(text_config={**TEXT, "vocab_size": len(t)}, vision_config=IMAGE, image_text_hidden_size=12)),
            word_pieces(), T.BlipImageProcessorPil(size={"height": 12, "width": 12}))


BEAMS = {"num_beams": 4, "max_length": 12}
QUESTIONS = ["what colour is the circle?", "is it big", "one or two?"]


def blip(out, name, kind, files):
    """BLIP that captions (no questions in its runs) or answers; `files`: as Transformers 5 or as published models write them."""
    asks = kind is T.BlipForQuestionAnswering
    tokenizer = word_pieces()
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    text = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, vocab_size=len(tokenizer),
                max_position_embeddings=24, bos_token_id=tokenizer.bos_token_id, sep_token_id=3, pad_token_id=0, eos_token_id=2)
    model = lively(kind(T.BlipConfig(text_config=text, vision_config={**IMAGE, "hidden_size": 16 if asks else 12})))
    torch.nn.init.normal_(model.text_decoder.cls.predictions.bias.data, 0, 1)
    model.text_decoder.cls.predictions.bias.data[3] = 2.2  # some texts end before their time
    processor = T.BlipProcessor(T.BlipImageProcessorPil(size={"height": 12, "width": 12}), tokenizer)
    folder = os.path.join(out, name)
    model.save_pretrained(folder)
    if files == "new":
        processor.save_pretrained(folder)
    else:
        processor.image_processor.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    runs = []
    for file, picture in pictures(out).items():
        for question in QUESTIONS if asks else [None]:
            ways = [{}, {"max_length": 9}, {**BEAMS}, {**BEAMS, "length_penalty": -1.0, "no_repeat_ngram_size": 2}]
            for options in ways + ([] if asks else [{"prompt": "a red"}, {**BEAMS, "prompt": "the big one is"}]):
                prompt = options.get("prompt", "")
                given = processor(images=picture, text=question or prompt or None, return_tensors="pt")
                ids = model.generate(**given, do_sample=False, **{k: v for k, v in options.items() if k != "prompt"})[0]
                begun = 1 + len(tokenizer(prompt, add_special_tokens=False).input_ids)
                runs.append({"image": file, **({"question": question} if question else {}), "options": options, "tokens": ids[begun:].tolist(),
                             "text": tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)})
    write(os.path.join(out, name + ".json"), {"runs": runs})


def vilt(out, name):
    tokenizer = word_pieces()
    labels = ["yes", "no", "red", "blue", "two"]
    model = lively(T.ViltForQuestionAnswering(T.ViltConfig(**{**IMAGE, "image_size": 16, "patch_size": 8}, vocab_size=len(tokenizer),
                   max_position_embeddings=24, id2label=dict(enumerate(labels)), label2id={l: i for i, l in enumerate(labels)})))
    processor = T.ViltImageProcessorPil(size={"shortest_edge": 24}, size_divisor=8)
    folder = os.path.join(out, name)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor.save_pretrained(folder)
    runs = []
    with torch.no_grad():
        for file, picture in pictures(out).items():
            for question in QUESTIONS:
                scores = model(**tokenizer(question, return_tensors="pt"), **processor(picture, return_tensors="pt")).logits[0].sigmoid()
                best = scores.argsort(descending=True).tolist()
                runs.append({"image": file, "question": question, "top": [[labels[i], scores[i].item()] for i in best]})
    write(os.path.join(out, name + ".json"), {"runs": runs})


def visual_bert(out, name):
    """VisualBERT, features of regions in files, and a ResNet whose grid are regions too."""
    import numpy
    from safetensors.torch import save_file
    tokenizer = word_pieces()
    labels = ["yes", "no", "red", "blue", "two"]
    model = lively(T.VisualBertForQuestionAnswering(T.VisualBertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, vocab_size=len(tokenizer), max_position_embeddings=24,
        visual_embedding_dim=8, pad_token_id=0, id2label=dict(enumerate(labels)), label2id={l: i for i, l in enumerate(labels)})))
    resnet = lively(T.ResNetModel(T.ResNetConfig(num_channels=3, embedding_size=6, hidden_sizes=[6, 8], depths=[1, 1], layer_type="basic")))
    processor = T.ViTImageProcessorPil(size={"height": 24, "width": 16})
    folder = os.path.join(out, name)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    grid = os.path.join(folder, "grid")
    resnet.save_pretrained(grid)
    processor.save_pretrained(grid)
    files = {file: torch.randn(3 + i, 8) for i, file in enumerate(PICTURES)}
    save_file(files, os.path.join(folder, "regions.safetensors"))
    numpy.save(os.path.join(folder, "regions.npy"), files["p2.png"][None].numpy().astype("float16"))
    runs = []

    def ask(file, regions, path):
        for question in QUESTIONS:
            given = tokenizer(question, return_tensors="pt")
            scores = model(**given, visual_embeds=regions[None]).logits[0].softmax(0)
            best = scores.argsort(descending=True).tolist()
            runs.append({"image": file, "question": question, "regions": path, "top": [[labels[i], scores[i].item()] for i in best]})
    with torch.no_grad():
        for file, picture in pictures(out).items():
            ask(file, files[file], "regions.safetensors")
            cells = resnet(**processor(picture, return_tensors="pt")).last_hidden_state[0]
            ask(file, cells.flatten(1).T, "grid")
        ask("p2.png", files["p2.png"].half().float(), "regions.npy")
    write(os.path.join(out, name + ".json"), {"runs": runs})


RATE = 16000
MARKS = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|zh|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>",
         "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]


def sound(samples, salt):
    """Square waves and noise in steps of 2^-14, so that a test makes the very same; the last fifth is silent."""
    import numpy
    n = numpy.arange(samples, dtype=numpy.int64)
    block = n // 6000 + salt
    wave = ((n // (20 + block * 37 % 150)) % 2 * 2 - 1) * (1 + block * 13 % 7) * 512
    noise = ((n * 1103515245 + 12345 * salt) >> 16) % 256 * (block % 3)
    return (numpy.where(n < samples * 4 // 5, wave + noise, 0) / 16384).astype(numpy.float32)


def listener(out, name):
    """Whisper with windows of 30 s. The words' rows of the table are stronger than those of the times, which are many."""
    tokenizer = byte_level([])
    tokenizer.add_special_tokens(MARKS)
    tokenizer = T.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=MARKS[0], eos_token=MARKS[0], pad_token=MARKS[0],
                                          additional_special_tokens=MARKS[1:])
    at = {m: tokenizer.convert_tokens_to_ids(m) for m in MARKS[1:]}
    eos, stamps = tokenizer.convert_tokens_to_ids(MARKS[0]), at["<|notimestamps|>"] + 1
    vocabulary = stamps + 1501
    config = T.WhisperConfig(vocab_size=vocabulary, num_mel_bins=20, d_model=16, encoder_layers=2, decoder_layers=2,
                             encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24,
                             max_source_positions=1500, max_target_positions=40, decoder_start_token_id=at["<|startoftranscript|>"],
                             eos_token_id=eos, pad_token_id=eos, bos_token_id=eos, suppress_tokens=None, begin_suppress_tokens=None)
    model = T.WhisperForConditionalGeneration(config)
    sinusoids = model.model.encoder.embed_positions.weight.detach().clone()
    lively(model)
    with torch.no_grad():
        model.model.encoder.embed_positions.weight.copy_(sinusoids)
        for p in [model.model.encoder.conv1.weight] + [p for p in model.model.decoder.layers.parameters() if p.dim() > 1]:
            p.mul_(2.5)
        table = model.model.decoder.embed_tokens.weight
        table[:stamps] = torch.nn.functional.normalize(table[:stamps]) * 2.2
        table[eos] *= 1.3
        step = torch.arange(1501)[:, None] / 200 + torch.arange(16) * 0.7
        table[stamps:] = 0.55 * torch.sin(step) + 0.05 * table[stamps:]
    model = model.to(torch.float16).to(torch.float32)
    model.generation_config = T.GenerationConfig(
        decoder_start_token_id=at["<|startoftranscript|>"], bos_token_id=eos, eos_token_id=eos, pad_token_id=eos, max_length=40,
        no_timestamps_token_id=stamps - 1, max_initial_timestamp_index=50, is_multilingual=True, return_timestamps=False,
        prev_sot_token_id=at["<|startofprev|>"], lang_to_id={m: at[m] for m in MARKS[2:5]},
        task_to_id={"translate": at["<|translate|>"], "transcribe": at["<|transcribe|>"]},
        suppress_tokens=[at[m] for m in MARKS[1:10]], begin_suppress_tokens=[eos])
    processor = T.WhisperFeatureExtractor(feature_size=20)
    folder = os.path.join(out, name)
    tokenizer.save_pretrained(folder)
    processor.save_pretrained(folder)
    off = {"temperature": 0.0, "logprob_threshold": -1e9, "no_speech_threshold": 1.0, "compression_ratio_threshold": 1e9}
    runs = []
    for samples, salt, options in [
            (3 * RATE, 1, {"language": "en", "task": "transcribe"}), (3 * RATE, 2, {"language": "de", "task": "translate"}),
            (7 * RATE, 3, {"task": "transcribe"}), (7 * RATE, 5, {"task": "transcribe", "num_beams": 3}),
            (11 * RATE, 8, {"task": "transcribe", "return_timestamps": True}), (30 * RATE, 4, {"task": "transcribe", "return_timestamps": True}),
            (41 * RATE + 777, 6, {"task": "transcribe", "return_timestamps": True}),
            (70 * RATE, 7, {"language": "zh", "task": "transcribe", "return_timestamps": True, "condition_on_prev_tokens": True}),
            (64 * RATE, 9, {"task": "translate", "return_timestamps": True, "num_beams": 2, "condition_on_prev_tokens": True}),
            (95 * RATE, 10, {"task": "transcribe", "return_timestamps": True, "no_speech_threshold": 0.0, "logprob_threshold": -2.6})]:
        pcm = sound(samples, salt)
        chunk = samples <= 30 * RATE
        given = processor(pcm, sampling_rate=RATE, return_tensors="pt", **({} if chunk else {"truncation": False, "padding": "longest"}))
        with torch.no_grad():
            made = model.generate(given["input_features"], return_segments=True, do_sample=False, **{**off, **options})
            language = tokenizer.convert_ids_to_tokens(model.detect_language(given["input_features"][:, :, :3000]).tolist())[0][2:-2]
        seconds = samples / RATE
        segments = [{"start": float(s["start"]), "end": min(float(s["end"]), seconds), "tokens": s["tokens"].tolist()}
                    for s in made["segments"][0] if s["start"] < seconds]
        words = [[t for t in s["tokens"] if t < eos] for s in segments]
        for s, w in zip(segments, words):
            s["text"] = tokenizer.decode(w, clean_up_tokenization_spaces=False)
        runs.append({"samples": samples, "salt": salt, "options": {**off, **options}, "language": options.get("language", language),
                     "segments": segments, "text": tokenizer.decode(sum(words, []), clean_up_tokenization_spaces=False)})
    vectors = []
    for samples, salt in ((3 * RATE, 1), (30 * RATE, 4), (41 * RATE + 777, 6)):
        pcm, states = sound(samples, salt), []
        chunk = samples <= 30 * RATE
        mel = processor(pcm, sampling_rate=RATE, return_tensors="pt", **({} if chunk else {"truncation": False, "padding": "longest"}))["input_features"]
        content = -(-samples // 160) if chunk else mel.shape[-1]
        for first in range(0, content, 3000):
            window = torch.nn.functional.pad(mel[:, :, first:first + 3000], (0, max(0, 3000 - (mel.shape[-1] - first))))
            with torch.no_grad():
                states.append(model.model.encoder(window).last_hidden_state[0][:-(-min(content - first, 3000) // 2)])
        vectors.append({"samples": samples, "salt": salt, "vector": torch.cat(states).mean(0).tolist()})
    model.to(torch.float16).save_pretrained(folder)
    write(os.path.join(out, name + ".json"), {"runs": runs, "sounds": vectors})


def speaker(out, name):
    """A training checkpoint in the layout of Resemblyzer's, and its vectors of a few sounds."""
    import numpy
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function
    lstm, linear = torch.nn.LSTM(10, 12, 2, batch_first=True), torch.nn.Linear(12, 16)
    with torch.no_grad():
        for p in list(lstm.parameters()) + list(linear.parameters()):
            p.copy_(torch.randn_like(p) * 0.6)
    state = {**{"lstm." + k: v for k, v in lstm.state_dict().items()}, **{"linear." + k: v for k, v in linear.state_dict().items()},
             "similarity_weight": torch.ones(1), "similarity_bias": torch.zeros(1)}
    torch.save({"step": 3, "model_state": state, "optimizer_state": {"state": {5: {"exp_avg": torch.zeros(4)}}}}, os.path.join(out, name + ".pt"))
    bank, rows = mel_filter_bank(201, 10, 0.0, 8000.0, RATE, norm="slaney", mel_scale="slaney"), []
    for samples, salt in ((5000, 1), (25600, 2), (60001, 3), (70000, 4)):
        wave = sound(samples, salt) / 64
        change = -30 - 20 * numpy.log10(numpy.sqrt(numpy.mean(wave.astype(numpy.float64) ** 2)))
        loud = wave * 10 ** (max(change, 0) / 20)
        starts = list(range(0, max(1, -(-(samples + 1) // 160) - 160 + 77 + 1), 77))
        if len(starts) > 1 and (samples - starts[-1] * 160) / 25600 < 0.75:
            starts.pop()
        loud = numpy.pad(loud, (0, max(0, (starts[-1] + 160) * 160 - samples)))
        mel = spectrogram(loud, window_function(400, "hann"), 400, 160, power=2.0, center=True, pad_mode="constant", mel_filters=bank,
                          log_mel=None).T.astype(numpy.float32)
        with torch.no_grad():
            hidden = lstm(torch.from_numpy(numpy.stack([mel[s:s + 160] for s in starts])))[1][0][-1]
            vectors = torch.nn.functional.normalize(torch.relu(linear(hidden)), dim=1)
        rows.append({"samples": samples, "salt": salt, "chunks": len(starts), "vector": unit(vectors.mean(0)).tolist()})
    write(os.path.join(out, name + ".json"), {"sounds": rows})


def word_vectors(out, name):
    """One table and a tokenizer that would put tokens around a text."""
    from safetensors.torch import save_file
    tokenizer = word_pieces()
    table = torch.randn(len(tokenizer), 8).to(torch.float16)
    folder = os.path.join(out, name)
    os.makedirs(folder)
    tokenizer.backend_tokenizer.save(os.path.join(folder, "tokenizer.json"))
    save_file({"embedding.weight": table}, os.path.join(folder, "model.safetensors"))
    texts = [t for t in TEXTS if t]
    vectors = [table.float()[tokenizer(t, add_special_tokens=False)["input_ids"]].mean(0).tolist() for t in texts]
    write(os.path.join(out, name + ".json"), {"texts": texts, "vectors": vectors})


MAKERS = {
    "sentences": lambda out, name: sentences(out, name, ["Transformer", "Pooling", "Normalize"], {"pooling_mode_mean_tokens": True},
                                             lambda h: unit(h.mean(0))),
    "sentences_plain": lambda out, name: sentences(out, name, [], {}, lambda h: h.mean(0)),
    "sentences_cls_max": lambda out, name: sentences(out, name, ["Transformer", "Pooling"],
                                                     {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True,
                                                      "pooling_mode_max_tokens": True},
                                                     lambda h: torch.cat([h[0], h.max(0).values])),
    "gpt2": gpt2,
    "vit": small_vit,
    "captioner": captioner,
    "matcher": clip,
    "classes_vit": lambda out, name: classes(out, name, lambda heads, t: T.ViTForImageClassification(T.ViTConfig(**IMAGE, **heads)),
                                             T.ViTImageProcessorPil(size={"height": 12, "width": 12})),
    "classes_dinov2": lambda out, name: classes(out, name, lambda heads, t: T.Dinov2ForImageClassification(T.Dinov2Config(**{**IMAGE, "mlp_ratio": 2}, **heads)),
                                                T.ViTImageProcessorPil(size={"height": 12, "width": 12}), several=True),
    "classes_resnet": classes_resnet,
    "classes_bert": lambda out, name: classes(out, name, lambda heads, t: T.BertForSequenceClassification(
        T.BertConfig(**TEXT, vocab_size=len(t), **heads))),
    "matcher_chinese": chinese_clip,
    "matcher_sigmoid": siglip,
    "matcher_blip": blip_matcher,
    "blip_captioner": lambda out, name: blip(out, name, T.BlipForConditionalGeneration, "old"),
    "blip_asker": lambda out, name: blip(out, name, T.BlipForQuestionAnswering, "new"),
    "vilt_asker": vilt,
    "visual_bert_asker": visual_bert,
    "listener": listener,
    "speaker": speaker,
    "word_vectors": word_vectors,
}


def main():
    out, only = sys.argv[1], sys.argv[2:]
    os.makedirs(out, exist_ok=True)
    for name, make in MAKERS.items():
        if only and name not in only:
            continue
        shutil.rmtree(os.path.join(out, name), ignore_errors=True)
        torch.manual_seed(11)
        make(out, name)


if __name__ == "__main__":
    main()
