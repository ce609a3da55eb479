#!/usr/bin/env python3
"""Makes small published-shaped models with random weights, each a whole directory as Transformers writes it: config.json,
model.safetensors, and its tokenizer or processor. For trying out and testing encoders of `sensorium train`.

    small_pretrained.py OUT [--width 64] [--layers 2] [--picture 64] [--seconds 4] [--text FILE.csv...] [--only NAME,NAME]
    small_pretrained.py tests/golden/transfer --golden      as the tests want them: tiny, and with golden.safetensors, the
                        vectors that Transformers' own processors, tokenizers and networks give for a few cells

OUT/bert, OUT/gpt2, OUT/vit, OUT/resnet, OUT/clip, OUT/whisper, OUT/vgg (16 layers, torchvision's names),
OUT/vgg_timm. The words of the BERT tokenizer are the commonest of the text files' (every column) besides all ASCII
characters. Needs torch, tokenizers and transformers."""
import argparse, collections, os, re, warnings
import torch
import transformers as T
import tokenizers as K
from safetensors.torch import save_file

from torch_models import VGG
from trained_models import picture_vector, sound_vector, text_vector

warnings.filterwarnings("ignore")
T.logging.set_verbosity_error()
T.logging.disable_progress_bar()
NAMES = ["bert", "gpt2", "vit", "resnet", "clip", "whisper", "vgg", "vgg_timm"]
ASCII = [chr(c) for c in range(33, 127)]


def words_of(files, most):
    counts = collections.Counter()
    for name in files:
        with open(name, encoding="utf-8") as file:
            counts.update(re.findall(r"[^\W\d_]+", file.read().lower()))
    return [w for w, _ in counts.most_common(most) if len(w) > 1]


def bert_tokenizer(words):
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + ASCII + ["##" + c for c in ASCII]
    vocab += [w for w in words if w not in set(vocab)]
    t = K.Tokenizer(K.models.WordPiece({w: i for i, w in enumerate(vocab)}, unk_token="[UNK]"))
    t.normalizer = K.normalizers.BertNormalizer(lowercase=True)
    t.pre_tokenizer = K.pre_tokenizers.BertPreTokenizer()
    t.post_processor = K.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    t.decoder = K.decoders.WordPiece()
    return T.PreTrainedTokenizerFast(tokenizer_object=t, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
                                     mask_token="[MASK]", model_max_length=64)


def byte_tokenizer(begin, end, around):
    letters = sorted(K.pre_tokenizers.ByteLevel.alphabet())
    vocab = {c: i for i, c in enumerate(letters)}
    for token in (begin, end):
        vocab.setdefault(token, len(vocab))
    t = K.Tokenizer(K.models.BPE(vocab, []))
    t.add_special_tokens([begin, end])
    t.pre_tokenizer = K.pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = K.decoders.ByteLevel()
    if around:
        t.post_processor = K.processors.TemplateProcessing(f"{begin} $A {end}", special_tokens=[(begin, vocab[begin]), (end, vocab[end])])
    return T.PreTrainedTokenizerFast(tokenizer_object=t, bos_token=begin, eos_token=end, pad_token=end, model_max_length=64)


def make(name, o, words):
    layers = dict(num_hidden_layers=o.layers, num_attention_heads=4, hidden_size=o.width, intermediate_size=2 * o.width)
    mean, std = [0.5] * 3, [0.5] * 3
    if name == "bert":
        tokenizer = bert_tokenizer(words)
        return T.BertModel(T.BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **layers)), [tokenizer]
    if name == "gpt2":
        tokenizer = byte_tokenizer("<|endoftext|>", "<|endoftext|>", False)
        config = T.GPT2Config(vocab_size=len(tokenizer), n_embd=o.width, n_layer=o.layers, n_head=4, n_positions=64,
                              bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id)
        return T.GPT2LMHeadModel(config), [tokenizer]
    if name == "vit":
        processor = T.ViTImageProcessorPil(size={"height": o.picture, "width": o.picture}, image_mean=mean, image_std=std)
        return T.ViTModel(T.ViTConfig(image_size=o.picture, patch_size=o.picture // 8, **layers), add_pooling_layer=False), [processor]
    if name == "resnet":
        processor = T.ConvNextImageProcessorPil(size={"shortest_edge": o.picture}, crop_pct=1.0, image_mean=mean, image_std=std)
        config = T.ResNetConfig(embedding_size=o.width // 2, hidden_sizes=[o.width // 2, o.width], depths=[1, 1], layer_type="basic")
        return T.ResNetModel(config), [processor]
    if name in ("vgg", "vgg_timm"):  # timm's config.json says how pictures are prepared, beside torchvision's weights lies a file
        side, timm = max(o.picture, 32), name == "vgg_timm"
        processor = T.BitImageProcessorPil(size={"shortest_edge": side * 8 // 7}, crop_size={"height": side, "width": side}, resample=2,
                                           image_mean=mean, image_std=std)
        model = VGG(16, False, timm, num_classes=3, num_channels=3, widths=[o.width // 4] * 5, hidden_size=o.width)
        if timm:
            model.config["pretrained_cfg"] = dict(input_size=[3, side, side], interpolation="bilinear", crop_pct=0.875, mean=mean, std=std)
        return model, [processor]
    if name == "clip":
        tokenizer = byte_tokenizer("<|startoftext|>", "<|endoftext|>", True)
        ends = dict(bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id)
        config = T.CLIPConfig(text_config=dict(vocab_size=len(tokenizer), max_position_embeddings=64, **layers, **ends),
                              vision_config=dict(image_size=o.picture, patch_size=o.picture // 8, **layers), projection_dim=o.width)
        processor = T.CLIPImageProcessorPil(size={"shortest_edge": o.picture}, crop_size={"height": o.picture, "width": o.picture},
                                            image_mean=mean, image_std=std)
        return T.CLIPModel(config), [tokenizer, processor]
    if name == "whisper":
        config = T.WhisperConfig(vocab_size=60, d_model=o.width, encoder_layers=o.layers, decoder_layers=1, encoder_attention_heads=4,
                                 decoder_attention_heads=4, encoder_ffn_dim=2 * o.width, decoder_ffn_dim=o.width, num_mel_bins=o.mels,
                                 max_source_positions=50 * o.seconds, max_target_positions=16, pad_token_id=0, bos_token_id=1, eos_token_id=2,
                                 decoder_start_token_id=1)
        return T.WhisperForConditionalGeneration(config), [T.WhisperFeatureExtractor(feature_size=o.mels, chunk_length=o.seconds)]
    raise SystemExit(f"no model is called {name}")


HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden")
TEXTS = ["the old bridge over the river", "a small red tower", "Water; 42 towers!"]
PICTURES = [os.path.join(HERE, "image", f) for f in ("rgb8.png", "ycc444.jpg", "palette8.png")]
SOUNDS = [os.path.join(HERE, "audio", f) for f in ("sweep.wav", "tone.wav", "click.wav")]


def text_vectors(model, tokenizer):
    return torch.stack([text_vector(model, tokenizer, text) for text in TEXTS])


def picture_vectors(model, processor):
    from PIL import Image
    prepared = [processor(Image.open(name).convert("RGB"), return_tensors="pt")["pixel_values"] for name in PICTURES]
    return torch.stack([picture_vector(model, pixels) for pixels in prepared])


def sound_vectors(model, processor):
    return torch.stack([sound_vector(model.model.encoder, processor, name) for name in SOUNDS])


def golden(name, model, rest, place):
    got = {}
    with torch.no_grad():
        for part in rest:
            kind = "text" if hasattr(part, "vocab") else "image" if "Image" in type(part).__name__ else "audio"
            got[kind] = {"text": text_vectors, "image": picture_vectors, "audio": sound_vectors}[kind](model, part).contiguous()
    save_file(got, os.path.join(place, "golden.safetensors"))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("out")
    for option, value in (("width", 64), ("layers", 2), ("picture", 64), ("seconds", 4), ("mels", 80), ("words", 2000)):
        p.add_argument("--" + option, type=int, default=value)
    p.add_argument("--text", nargs="*", default=[])
    p.add_argument("--only", default=",".join(NAMES))
    p.add_argument("--golden", action="store_true")
    o = p.parse_args()
    words = words_of(o.text, o.words)
    if o.golden:
        o.width, o.picture, o.seconds, o.mels = 16, 16, 1, 8
        words = sorted({w for t in TEXTS for w in re.findall(r"[a-z]+", t.lower())})
    for name in o.only.split(","):
        torch.manual_seed(7 + NAMES.index(name))
        model, rest = make(name, o, words)
        place = os.path.join(o.out, name)
        with torch.no_grad():  # as much spread as a trained model's activations have
            for key, x in model.named_parameters():
                if x.dim() > 1 and "embed_positions" not in key:
                    x.normal_(0, (2.0 / (x.numel() / x.shape[0])) ** 0.5 if x.dim() > 2 else 0.1)
        for part in [model.eval()] + (rest if name != "vgg_timm" else []):
            part.save_pretrained(place)
        if o.golden:
            golden(name, model, rest, place)
        print(place, sum(x.numel() for x in model.parameters()), "parameters")


main()
