#!/usr/bin/env python3
"""Models as some version of Transformers saved them, and what it computed with them; then the same by our commands.

    check_saved_models.py make OUT PICTURE SOUND.wav --gpt2 DIR     with the Transformers of that version, 4.26 or a later 4
    check_saved_models.py adapt OUT MODELS                          adapters for those models, with PEFT
    check_saved_models.py check OUT SENSORIUM                       with any Python 3

Checkpoints of the hub were mostly saved by old versions: weights in pickles, feature extractors in place of image
processors, a size as one number, nested configs with every key, heads that were not tied. `make` writes tiny models with
random weights, a whole directory each, and OUT/expected.json: vectors of texts and of a sound, classes of texts and of a
picture, answers, what is written. DIR has GPT-2's vocab.json and merges.txt; SOUND has 16 kHz. `adapt` does the same for
adapters that PEFT saves in directories of their own, with heads that were learned as a whole; any Transformers will do.
`check` prints a line for each, and exits with 1 where a number differs by more than 1e-4 of the largest, or a text."""
import argparse
import json
import os
import subprocess
import sys

SIZE = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
TEXTS, LABELS, ASKED = ["a small red shoe", "the cat sat on the mat , twice", "hello"], ["cat", "red shoe", "dog"], "what is this ?"
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] [DEC] a small red shoe the cat sat on mat , twice hello dog what is this ? photo of ##s ##t".split()
NEW, LONG = 12, 12  # tokens that are written


class Maker:
    def __init__(self, args):
        import soundfile
        import torch
        import transformers
        from PIL import Image
        transformers.logging.set_verbosity_error()
        self.torch, self.T, self.args, self.expected = torch, transformers, args, {}
        self.picture = Image.open(args.picture).convert("RGB")
        self.sound, rate = soundfile.read(args.sound, dtype="float32")
        if rate != 16000:
            sys.exit("%s: %d Hz instead of 16000" % (args.sound, rate))

    # ---- pieces ----

    def fill(self, model):
        torch = self.torch
        torch.manual_seed(3)
        for name, p in model.named_parameters():
            if p.dim() > 1:
                torch.nn.init.normal_(p, 0, 0.2)
            elif "norm" in name.lower() and name.endswith("weight"):
                p.data = 1 + 0.1 * torch.randn_like(p)
            elif p.dim() == 1:
                torch.nn.init.normal_(p, 0, 0.1)
            else:
                p.data = torch.tensor(1.5)  # CLIP's scale
        for name, b in model.named_buffers():
            if name.endswith("running_mean"):
                torch.nn.init.normal_(b, 0, 0.3)
            if name.endswith("running_var"):
                torch.nn.init.uniform_(b, 0.5, 1.5)
        model.tie_weights()
        return model.eval()

    def words(self, place):
        path = os.path.join(place, "words.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(WORDS) + "\n")
        tokenizer = self.T.BertTokenizerFast(path, model_max_length=64, additional_special_tokens=["[DEC]"])
        os.remove(path)
        tokenizer.save_pretrained(place)
        return tokenizer

    def bytes(self, place):
        tokenizer = self.T.GPT2TokenizerFast(os.path.join(self.args.gpt2, "vocab.json"), os.path.join(self.args.gpt2, "merges.txt"))
        tokenizer.save_pretrained(place)
        return tokenizer

    def clip_words(self, place):
        letters = sorted(self.T.models.gpt2.tokenization_gpt2.bytes_to_unicode().values())
        vocab = {w: i for i, w in enumerate(letters + [c + "</w>" for c in letters] + ["<|startoftext|>", "<|endoftext|>"])}
        paths = [os.path.join(place, name) for name in ("v.json", "m.txt")]
        with open(paths[0], "w") as file:
            json.dump(vocab, file)
        with open(paths[1], "w") as file:
            file.write("#version: 0.2\n")
        tokenizer = self.T.CLIPTokenizerFast(*paths, model_max_length=40)
        for path in paths:
            os.remove(path)
        tokenizer.save_pretrained(place)
        return tokenizer

    def processor(self, place, name, **settings):
        made = getattr(self.T, name)(**settings)
        made.save_pretrained(place)
        return made

    def pixels(self, processor):
        return dict(processor(images=self.picture, return_tensors="pt"))

    # ---- kinds of cases: each gives what is expected ----

    def texts(self, kind, config, tokenizer, classes=False):
        def run(place):
            words, model = tokenizer(place), self.fill(kind(config))
            model.save_pretrained(place)
            rows = []
            for text in TEXTS:
                given = words(text, return_tensors="pt")
                if "DistilBert" in kind.__name__:
                    given.pop("token_type_ids", None)
                out = model(**given)
                rows.append((out.logits[0].softmax(-1) if classes else out[0][0].mean(0)).tolist())
            return {"task": "classify" if classes else "embed", "rows": rows}
        return run

    def classes(self, kind, config, processor, **settings):
        def run(place):
            prepare, model = self.processor(place, processor, **settings), self.fill(kind(config))
            model.save_pretrained(place)
            return {"task": "classify", "picture": True, "rows": [model(**self.pixels(prepare)).logits[0].softmax(-1).tolist()]}
        return run

    def pair(self, kind, config, tokenizer, processor, settings, padding, squash):
        def run(place):
            words, prepare, model = tokenizer(place), self.processor(place, processor, **settings), self.fill(kind(config))
            model.save_pretrained(place)
            given = words(["a photo of a " + label for label in LABELS], return_tensors="pt", **padding)
            if squash == "sigmoid":
                given = {"input_ids": given.input_ids}
            logits = model(**given, **self.pixels(prepare)).logits_per_image[0]
            return {"task": "classify", "picture": True, "labels": LABELS, "rows": [(logits.sigmoid() if squash == "sigmoid" else logits.softmax(-1)).tolist()]}
        return run

    def gpt2(self, place):
        words, model = self.bytes(place), self.fill(self.T.GPT2LMHeadModel(self.T.GPT2Config(n_embd=32, n_layer=2, n_head=2)))
        model.save_pretrained(place)
        given = words(TEXTS[1], return_tensors="pt")
        ids = model.generate(**given, max_new_tokens=NEW, do_sample=False, pad_token_id=50256)[0]
        return {"task": "generate", "text": words.decode(ids[given.input_ids.shape[1]:])}

    def captioner(self, place):
        T, words = self.T, self.bytes(place)
        prepare = self.processor(place, "ViTFeatureExtractor", size=32)
        config = T.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
            T.ViTConfig(**SIZE, image_size=32, patch_size=8), T.GPT2Config(n_embd=32, n_layer=2, n_head=2))
        config.decoder_start_token_id = config.pad_token_id = config.eos_token_id = 50256
        model = self.fill(T.VisionEncoderDecoderModel(config=config))
        model.save_pretrained(place)
        ids = model.generate(self.pixels(prepare)["pixel_values"], max_length=LONG, num_beams=4)[0].tolist()
        return {"task": "caption", "beams": 4, "text": words.decode([i for i in ids if i != 50256], skip_special_tokens=True)}

    def blip(self, kind, asks):
        def run(place):
            T, words = self.T, self.words(place)
            prepare = T.BlipImageProcessor(size=dict(height=32, width=32))
            T.BlipProcessor(prepare, words).save_pretrained(place)
            text = dict(SIZE, vocab_size=len(WORDS), encoder_hidden_size=32, bos_token_id=5, sep_token_id=3, pad_token_id=0, eos_token_id=3,
                        max_position_embeddings=32)
            model = self.fill(kind(T.BlipConfig(text_config=text, vision_config=dict(SIZE, image_size=32, patch_size=8))))
            model.save_pretrained(place)
            given = self.pixels(prepare)
            if asks:
                given["input_ids"] = words(ASKED, return_tensors="pt").input_ids
            ids = [i for i in model.generate(**given, max_length=LONG)[0].tolist() if i not in (0, 3, 5)]
            return {"task": "ask" if asks else "caption", "text": words.decode(ids, skip_special_tokens=True)}
        return run

    def vilt(self, place):
        T, words = self.T, self.words(place)
        prepare = self.processor(place, "ViltFeatureExtractor", size=64, size_divisor=32)
        config = T.ViltConfig(**SIZE, vocab_size=len(WORDS), image_size=64, patch_size=32, max_position_embeddings=40, num_labels=7)
        model = self.fill(T.ViltForQuestionAnswering(config))
        model.save_pretrained(place)
        return {"task": "ask", "rows": [model(**words(ASKED, return_tensors="pt"), **self.pixels(prepare)).logits[0].sigmoid().tolist()]}

    def whisper(self, place):
        T, size = self.T, dict(layers=2, attention_heads=2, ffn_dim=64)
        model = self.fill(T.WhisperForConditionalGeneration(T.WhisperConfig(
            vocab_size=51865, d_model=32, **{side + "_" + k: v for side in ("encoder", "decoder") for k, v in size.items()})))
        model.save_pretrained(place)
        extract = self.processor(place, "WhisperFeatureExtractor")
        heard = extract(self.sound, sampling_rate=16000, return_tensors="pt").input_features
        states = model.model.encoder(heard).last_hidden_state[0]
        return {"task": "embed", "sound": True, "rows": [states[:-(-len(self.sound) // 320)].mean(0).tolist()]}

    # ---- the table ----

    def cases(self):
        T, n = self.T, len(WORDS)
        bert, distil = dict(SIZE, vocab_size=n), dict(dim=32, n_layers=2, n_heads=2, hidden_dim=64, vocab_size=n)
        image, look = dict(SIZE, image_size=32, patch_size=8), dict(SIZE, image_size=32, patch_size=8, num_labels=7)
        yield "bert", self.texts(T.BertModel, T.BertConfig(**bert), self.words)
        yield "bert_classes", self.texts(T.BertForSequenceClassification, T.BertConfig(**bert, num_labels=3), self.words, True)
        yield "distilbert", self.texts(T.DistilBertModel, T.DistilBertConfig(**distil), self.words)
        yield "distilbert_classes", self.texts(T.DistilBertForSequenceClassification, T.DistilBertConfig(**distil, num_labels=3), self.words, True)
        yield "gpt2_encoder", self.texts(T.GPT2Model, T.GPT2Config(n_embd=32, n_layer=2, n_head=2), self.bytes)
        yield "gpt2", self.gpt2
        yield "vit", self.classes(T.ViTForImageClassification, T.ViTConfig(**look), "ViTImageProcessor", size=dict(height=32, width=32))
        yield "vit_older", self.classes(T.ViTForImageClassification, T.ViTConfig(**look), "ViTFeatureExtractor", size=32)
        yield "deit", self.classes(T.DeiTForImageClassificationWithTeacher, T.DeiTConfig(**look), "DeiTFeatureExtractor", size=40,
                                   crop_size=dict(height=32, width=32))
        resnet = T.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic", num_labels=7)
        yield "resnet", self.classes(T.ResNetForImageClassification, resnet, "ConvNextFeatureExtractor", size=dict(shortest_edge=32))
        if hasattr(T, "Dinov2Model"):
            dino = T.Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=56, patch_size=14, num_labels=7)
            yield "dinov2", self.classes(T.Dinov2ForImageClassification, dino, "BitImageProcessor", size=dict(shortest_edge=64),
                                         crop_size=dict(height=56, width=56))
        text = dict(SIZE, vocab_size=514, max_position_embeddings=40, eos_token_id=513, bos_token_id=512)
        yield "clip", self.pair(T.CLIPModel, T.CLIPConfig(text_config=text, vision_config=image, projection_dim=24), self.clip_words,
                                "CLIPFeatureExtractor", dict(size=32, crop_size=32), dict(padding=True), "softmax")
        chinese = T.ChineseCLIPConfig(text_config=bert, vision_config=image, projection_dim=24)
        yield "chinese_clip", self.pair(T.ChineseCLIPModel, chinese, self.words, "ChineseCLIPFeatureExtractor",
                                        dict(size=dict(height=32, width=32), do_center_crop=False), dict(padding=True), "softmax")
        if hasattr(T, "SiglipModel"):
            siglip = T.SiglipConfig(text_config=dict(bert, max_position_embeddings=16, projection_size=32), vision_config=image)
            yield "siglip", self.pair(T.SiglipModel, siglip, self.words, "SiglipImageProcessor", dict(size=dict(height=32, width=32)),
                                      dict(padding="max_length", max_length=16), "sigmoid")
        yield "captioner", self.captioner
        yield "blip", self.blip(T.BlipForConditionalGeneration, False)
        yield "blip_asker", self.blip(T.BlipForQuestionAnswering, True)
        yield "vilt", self.vilt
        yield "whisper", self.whisper

    def make(self):
        for name, run in self.cases():
            place = os.path.join(self.args.out, name)
            os.makedirs(place, exist_ok=True)
            with self.torch.no_grad():
                self.expected[name] = run(place)
        given = {"picture": os.path.abspath(self.args.picture), "sound": os.path.abspath(self.args.sound)}
        with open(os.path.join(self.args.out, "expected.json"), "w") as file:
            json.dump({"version": self.T.__version__, **given, "models": self.expected}, file)
        print("%d models, saved by Transformers %s" % (len(self.expected), self.T.__version__))


class Adapter(Maker):
    """Adapters with random weights for models that were made before."""

    def adapted(self, kind, name, **settings):
        import peft
        model = peft.get_peft_model(kind, peft.LoraConfig(r=4, lora_alpha=8, **settings))
        self.torch.manual_seed(5)
        for key, p in model.named_parameters():
            if "lora_" in key or "modules_to_save" in key:
                self.torch.nn.init.normal_(p, 0, 0.3)
        model.eval().save_pretrained(os.path.join(self.args.out, name))
        return model

    def place(self, name):
        return os.path.abspath(os.path.join(self.args.models, name))

    def texts(self, name, **settings):
        T, rows = self.T, []
        words = T.AutoTokenizer.from_pretrained(self.place(name))
        model = self.adapted(T.AutoModelForSequenceClassification.from_pretrained(self.place(name), num_labels=3), name, task_type="SEQ_CLS", **settings)
        for text in TEXTS:
            given = words(text, return_tensors="pt")
            if name == "distilbert":
                given.pop("token_type_ids", None)
            rows.append(model(**given).logits[0].softmax(-1).tolist())
        return {"task": "classify", "rows": rows}

    def gpt2(self, name):
        words = self.T.AutoTokenizer.from_pretrained(self.place(name))
        model = self.adapted(self.T.GPT2LMHeadModel.from_pretrained(self.place(name)), name, task_type="CAUSAL_LM", target_modules=["c_attn"],
                             fan_in_fan_out=True)
        given = words(TEXTS[1], return_tensors="pt")
        ids = model.generate(**given, max_new_tokens=NEW, do_sample=False, pad_token_id=50256)[0]
        return {"task": "generate", "text": words.decode(ids[given.input_ids.shape[1]:])}

    def vit(self, name):
        T, today = self.T, self.T.__version__ >= "5"
        prepare = (T.ViTImageProcessorPil if today else T.ViTImageProcessor).from_pretrained(self.place(name))
        model = self.adapted(T.ViTForImageClassification.from_pretrained(self.place(name)), name, modules_to_save=["classifier"],
                             target_modules=["q_proj", "v_proj"] if today else ["query", "value"])
        return {"task": "classify", "picture": True, "rows": [model(**self.pixels(prepare)).logits[0].softmax(-1).tolist()]}

    def whisper(self, name):
        model = self.adapted(self.T.WhisperForConditionalGeneration.from_pretrained(self.place(name)), name, target_modules=["q_proj", "v_proj"])
        extract = self.T.WhisperFeatureExtractor.from_pretrained(self.place(name))
        heard = extract(self.sound, sampling_rate=16000, return_tensors="pt").input_features
        states = model.base_model.model.model.encoder(heard).last_hidden_state[0]
        return {"task": "embed", "sound": True, "rows": [states[:-(-len(self.sound) // 320)].mean(0).tolist()]}

    def cases(self):
        yield "bert", lambda place: self.texts("bert", target_modules=["query", "value"])
        yield "distilbert", lambda place: self.texts("distilbert", target_modules=["q_lin", "v_lin"], modules_to_save=["pre_classifier", "classifier"])
        for name, run in (("gpt2", self.gpt2), ("vit", self.vit), ("whisper", self.whisper)):
            yield name, lambda place, name=name, run=run: run(name)


def say(sensorium, given, place, e):
    """The command's answers, an object each."""
    task, items = e["task"], TEXTS
    options = {"generate": ["--max-new-tokens", str(NEW)], "caption": ["--max-length", str(LONG)]}.get(task, [])
    if e.get("picture") or task == "caption":
        items = [given["picture"]]
    elif e.get("sound"):
        items = [given["sound"]]
    elif task == "ask":
        items, options = [given["picture"], ASKED], ["--max-length", str(LONG)] if "text" in e else []
    elif task == "generate":
        items = [TEXTS[1]]
    if "rows" in e and task != "embed":
        options += ["--top", "100"]
    if "labels" in e:
        options += ["--labels", ",".join(e["labels"])]
    if "beams" in e:
        options += ["--num-beams", str(e["beams"])]
    done = subprocess.run([sensorium, task, place, *items, *options, "--precision", "f32", "--json", "-q"], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr or done.stdout).strip())
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare(e, answers):
    """(as it should be, what to say)"""
    if "text" in e:
        got = answers[0].get("answer") or answers[0].get("text") or ""
        return got.strip() == e["text"].strip(), "the same text" if got.strip() == e["text"].strip() else "%r instead of %r" % (got, e["text"])
    worst = 0
    for answer, row in zip(answers, e["rows"], strict=True):
        got = answer.get("vector")
        if got is None:
            scores = {str(label): score for label, score in answer["top"]}
            got = [scores[label] for label in e.get("labels") or ["LABEL_%d" % i for i in range(len(row))]]
        worst = max(worst, max(abs(a - b) for a, b in zip(got, row, strict=True)) / max(abs(b) for b in row))
    return worst <= 1e-4, "differs by %.1e" % worst


def check(args):
    with open(os.path.join(args.out, "expected.json")) as file:
        given = json.load(file)
    wrong = 0
    for name, e in given["models"].items():
        try:
            good, words = compare(e, say(args.sensorium, given, os.path.join(args.out, name), e))
        except (RuntimeError, KeyError, ValueError) as error:
            good, words = False, "%s: %s" % (type(error).__name__, error)
        wrong += not good
        print("%-8s %-20s %s%s" % (given["version"], name, words, "" if good else "  WRONG"))
    sys.exit(1 if wrong else 0)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make")
    for name in ("out", "picture", "sound"):
        make.add_argument(name)
    make.add_argument("--gpt2", required=True)
    adapt = commands.add_parser("adapt")
    adapt.add_argument("out")
    adapt.add_argument("models")
    looks = commands.add_parser("check")
    looks.add_argument("out")
    looks.add_argument("sensorium")
    args = parser.parse_args()
    if args.command == "check":
        check(args)
    elif args.command == "adapt":
        with open(os.path.join(args.models, "expected.json")) as file:
            given = json.load(file)
        args.picture, args.sound = given["picture"], given["sound"]
        Adapter(args).make()
    else:
        Maker(args).make()


main()
