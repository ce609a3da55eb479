"""What check_writers.py and check_transfer.py share: the published directories inside a model that was trained here, opened
with Transformers (and PEFT, where they have adapters), and the answers of our own commands; and how texts, pictures and
sounds become vectors, which small_pretrained.py asks too."""
import json, os, subprocess, warnings, wave
import torch
import transformers as T

warnings.filterwarnings("ignore")
T.logging.set_verbosity_error()
T.logging.disable_progress_bar()


def arguments(parser, **lists):
    """The options that both have; `lists`: name and default of those that take several values."""
    parser.add_argument("--sensorium", default="build/sensorium")
    for name, default in lists.items():
        parser.add_argument("--" + name, nargs="*", default=default)
    return parser.parse_args()


def ours(o, command, *words):
    """The first line that `sensorium command words… --json` says, in f32."""
    got = subprocess.run([o.sensorium, command, *words, "--json", "--precision", "f32"], capture_output=True, text=True)
    if got.returncode:
        raise SystemExit(got.stderr)
    return json.loads(got.stdout.splitlines()[0])


def pixels(place, file):
    from PIL import Image
    return T.AutoImageProcessor.from_pretrained(place, backend="pil")(Image.open(file).convert("RGB"), return_tensors="pt")["pixel_values"]


def text_vector(model, tokenizer, text):
    """A model's projection into the space that it shares with pictures, normalised, or else the mean over its tokens."""
    tokens = tokenizer(text, return_tensors="pt", return_token_type_ids=False)
    if hasattr(model, "text_projection"):
        x = model.text_model(**tokens).pooler_output @ model.text_projection.weight.T
        return (x / x.norm())[0]
    return getattr(model, "transformer", model)(**tokens).last_hidden_state[0].mean(0)


def picture_vector(model, pixels, pooled=True):
    """The same of a picture's pixels; or else the pooler's vector if it has one and it counts (`pooled`), or the first token."""
    if hasattr(model, "visual_projection"):
        x = model.vision_model(pixels).pooler_output @ model.visual_projection.weight.T
        return (x / x.norm())[0]
    out = model(pixels)
    return out["pooler_output"].flatten(1)[0] if pooled and out.get("pooler_output") is not None else out["last_hidden_state"][0, 0]


def samples(file):
    """(the samples of a WAV file of 16 bit and one channel, their rate)"""
    with wave.open(file) as sound:
        return torch.frombuffer(bytearray(sound.readframes(sound.getnframes())), dtype=torch.int16).float() / 32768, sound.getframerate()


def sound_vector(encoder, processor, file):
    """The mean of a Whisper encoder's states over what there is to hear."""
    pcm, rate = samples(file)
    x = encoder(processor(pcm.numpy(), sampling_rate=rate, return_tensors="pt").input_features).last_hidden_state[0]
    heard = min(len(pcm), processor.n_samples)
    return x[: max(1, min(len(x), -(-heard // (2 * processor.hop_length))))].mean(0)


def opened(place, otherwise=None, may_miss=""):
    """The model in `place` as the class that its config names (else as `otherwise`), whole but for weights whose names begin
    with `may_miss`, and what it is, in words."""
    with open(os.path.join(place, "config.json")) as file:
        classes = json.load(file).get("architectures") or []
    kind = getattr(T, classes[0], otherwise) if classes else otherwise
    model, info = kind.from_pretrained(place, output_loading_info=True, dtype=torch.float32)
    missing = {key for key in info["missing_keys"] if not (may_miss and key.startswith(may_miss))}
    assert not missing and not info["unexpected_keys"], info
    adapted = os.path.exists(os.path.join(place, "adapter_config.json"))
    if adapted and not any("lora_" in name for name, _ in model.named_modules()):
        raise SystemExit("PEFT is needed to open adapters")
    return model.eval(), type(model).__name__ + (" with adapters" if adapted else "")
