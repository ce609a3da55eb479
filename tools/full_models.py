#!/usr/bin/env python3
"""Makes models of their published sizes with random weights, as Transformers saves them, for benches and slow checks.

    full_models.py OUT [NAME...]      (no NAME: all; a directory that is there already is kept)

Every directory has config.json, model.safetensors (f32) and, where the model takes pictures, preprocessor_config.json.
Models that read or write text need a tokenizer: with --gpt2 DIR (vocab.json and merges.txt), --bert FILE (vocab.txt) and
--whisper DIR (tokenizer.json, or the older files) real vocabularies are written beside them. Encoders of text whose own
vocabulary is not at hand get made-up words, one for each row of their table. Needs torch and transformers."""
import argparse
import json
import os
import shutil
import torch
import transformers as T

from random_weights import spread
from torch_models import timm_resnet50, vgg16

T.logging.set_verbosity_error()
T.logging.disable_progress_bar()
NORM = dict(image_mean=[0.5] * 3, image_std=[0.5] * 3)


def vit_gpt2():
    c = T.VisionEncoderDecoderConfig.from_encoder_decoder_configs(T.ViTConfig(), T.GPT2Config(
        add_cross_attention=True, is_decoder=True, bos_token_id=50256, eos_token_id=50256, pad_token_id=50256))
    c.decoder_start_token_id = c.pad_token_id = c.eos_token_id = 50256
    model = T.VisionEncoderDecoderModel(c)
    model.generation_config = T.GenerationConfig(decoder_start_token_id=50256, bos_token_id=50256, eos_token_id=50256, pad_token_id=50256)
    return model


def whisper(width, heads, layers):
    model = T.WhisperForConditionalGeneration(T.WhisperConfig(
        vocab_size=51865, d_model=width, encoder_attention_heads=heads, decoder_attention_heads=heads, encoder_layers=layers,
        decoder_layers=layers, encoder_ffn_dim=4 * width, decoder_ffn_dim=4 * width))
    model.generation_config = T.GenerationConfig(  # the tokens of the multilingual vocabulary
        decoder_start_token_id=50258, bos_token_id=50257, eos_token_id=50257, pad_token_id=50257, no_timestamps_token_id=50363,
        is_multilingual=True, lang_to_id={"<|en|>": 50259, "<|de|>": 50261}, task_to_id={"translate": 50358, "transcribe": 50359},
        max_initial_timestamp_index=50, max_length=448)
    return model


def blip(kind):
    return kind(T.BlipConfig())


def chinese_clip():
    return T.ChineseCLIPModel(T.ChineseCLIPConfig(
        text_config=dict(vocab_size=21128, type_vocab_size=2), vision_config=dict(patch_size=16), projection_dim=512))


def imagenet():
    return T.ViTImageProcessor(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])


def write_words(path, count):
    """A tokenizer of the words w0, w1, ..., one for each id; a text ends with the last, as CLIP's texts do."""
    last = "w%d" % (count - 1)
    tokenizer = {
        "version": "1.0",
        "added_tokens": [{"id": count - 1, "content": last, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}],
        "normalizer": None, "pre_tokenizer": {"type": "WhitespaceSplit"}, "decoder": None, "truncation": None, "padding": None,
        "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": last, "type_id": 0}}],
                           "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                           "special_tokens": {last: {"id": last, "ids": [count - 1], "tokens": [last]}}},
        "model": {"type": "WordLevel", "vocab": {"w%d" % i: i for i in range(count)}, "unk_token": "w0"}}
    with open(path, "w") as file:
        json.dump(tokenizer, file)


#        name: (model, processor of pictures or sound, vocabulary)
MODELS = {
    "bert-base": (lambda: T.BertModel(T.BertConfig()), None, "bert"),
    "distilbert-base": (lambda: T.DistilBertModel(T.DistilBertConfig()), None, "bert"),
    "roberta-base": (lambda: T.RobertaModel(T.RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1)), None, "words"),
    "xlm-roberta-base": (lambda: T.XLMRobertaModel(T.XLMRobertaConfig(vocab_size=250002, max_position_embeddings=514, type_vocab_size=1)), None, "words"),
    "vit-base": (lambda: T.ViTForImageClassification(T.ViTConfig(num_labels=1000)), lambda: T.ViTImageProcessor(), None),
    "deit-base": (lambda: T.DeiTForImageClassification(T.DeiTConfig(num_labels=1000)), lambda: T.DeiTImageProcessor(), None),
    "dinov2-base": (lambda: T.Dinov2Model(T.Dinov2Config(image_size=518, patch_size=14)), lambda: T.BitImageProcessor(), None),
    "gpt2": (lambda: T.GPT2LMHeadModel(T.GPT2Config()), None, "gpt2"),
    "clip-vit-base-patch32": (lambda: T.CLIPModel(T.CLIPConfig()), lambda: T.CLIPImageProcessor(), "words"),
    "siglip-base-patch16-224": (lambda: T.SiglipModel(T.SiglipConfig()), lambda: T.SiglipImageProcessor(), "words"),
    "resnet-50": (lambda: T.ResNetForImageClassification(T.ResNetConfig(num_labels=1000)), lambda: T.ConvNextImageProcessor(), None),
    "resnet-50-timm": (lambda: spread(timm_resnet50()), imagenet, None),
    "vgg16": (lambda: spread(vgg16(timm=False)), imagenet, None),
    "vgg16-timm": (lambda: spread(vgg16(timm=True)), imagenet, None),
    "chinese-clip-vit-base-patch16": (chinese_clip, lambda: T.ChineseCLIPImageProcessor(), "words"),
    "visualbert-vqa": (lambda: T.VisualBertForQuestionAnswering(T.VisualBertConfig(visual_embedding_dim=2048, num_labels=3129)), None, "bert"),
    "blip-vqa-base": (lambda: blip(T.BlipForQuestionAnswering), lambda: T.BlipImageProcessor(), "bert"),
    "vilt-b32-vqa": (lambda: T.ViltForQuestionAnswering(T.ViltConfig(num_labels=3129)), lambda: T.ViltImageProcessor(), "bert"),
    "vit-gpt2": (vit_gpt2, lambda: T.ViTImageProcessor(), "gpt2"),
    "blip-captioning-base": (lambda: blip(T.BlipForConditionalGeneration), lambda: T.BlipImageProcessor(), "bert"),
    "whisper-tiny": (lambda: whisper(384, 6, 4), lambda: T.WhisperFeatureExtractor(), "whisper"),
    "whisper-base": (lambda: whisper(512, 8, 6), lambda: T.WhisperFeatureExtractor(), "whisper"),
}

# name of the option: its files, as far as they are there, and the tokenizer_config.json that is written beside them
VOCABULARIES = {
    "gpt2": (["vocab.json", "merges.txt"], {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 1024}),
    "bert": (["vocab.txt"], {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}),
    "whisper": (["tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json", "tokenizer_config.json"], None),
}


def write_vocabulary(place, kind, given):
    """`given`: the directory of the files, or the only one."""
    files, config = VOCABULARIES[kind]
    for file in files:
        source = os.path.join(given, file) if os.path.isdir(given) else given
        if os.path.exists(source):
            shutil.copy(source, os.path.join(place, file))
    if config:
        with open(os.path.join(place, "tokenizer_config.json"), "w") as file:
            json.dump(config, file)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("names", nargs="*")
    for kind in VOCABULARIES:
        parser.add_argument("--" + kind)
    args = parser.parse_intermixed_args()
    for name in args.names or MODELS:
        place = os.path.join(args.out, name)
        if os.path.exists(os.path.join(place, "config.json")):
            continue
        build, processor, vocabulary = MODELS[name]
        torch.manual_seed(len(name))
        os.makedirs(place, exist_ok=True)
        if processor:
            processor().save_pretrained(place)
        if vocabulary in VOCABULARIES and getattr(args, vocabulary):
            write_vocabulary(place, vocabulary, getattr(args, vocabulary))
        model = build().eval()
        if vocabulary == "words":
            write_words(os.path.join(place, "tokenizer.json"), model.config.get_text_config().vocab_size)
        model.save_pretrained(place)
        print(name, flush=True)


main()
