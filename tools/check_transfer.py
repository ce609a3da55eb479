#!/usr/bin/env python3
"""Opens the encoders of a trained model with Transformers (and PEFT, where they have adapters) and compares their last
hidden states, pooled, with what `sensorium embed` says.

    check_transfer.py MODEL [--sensorium build/sensorium] [--text TEXT...] [--image FILE...]

Prints one line an encoder; exits with 1 when one differs by more than 1e-4 of the largest number. Needs torch and
transformers, and peft for adapters."""
import argparse, json, os, subprocess, sys, warnings
import torch
from safetensors import safe_open
import transformers as T

warnings.filterwarnings("ignore")
T.logging.set_verbosity_error()
T.logging.disable_progress_bar()


def ours(o, place, item, kind):
    got = subprocess.run([o.sensorium, "embed", place, item, "--json", "--precision", "f32", "--kind", kind], capture_output=True, text=True)
    if got.returncode:
        raise SystemExit(got.stderr)
    return torch.tensor(json.loads(got.stdout.splitlines()[0])["vector"])


def theirs_text(model, place, text):
    tokens = T.AutoTokenizer.from_pretrained(place)(text, return_tensors="pt", return_token_type_ids=False)
    if hasattr(model, "text_projection"):
        x = model.text_model(**tokens).pooler_output @ model.text_projection.weight.T
        return (x / x.norm())[0]
    return getattr(model, "transformer", model)(**tokens).last_hidden_state[0].mean(0)


def theirs_image(model, place, file, bare):
    from PIL import Image
    pixels = T.AutoImageProcessor.from_pretrained(place, backend="pil")(Image.open(file).convert("RGB"), return_tensors="pt")["pixel_values"]
    if hasattr(model, "visual_projection"):
        x = model.vision_model(pixels).pooler_output @ model.visual_projection.weight.T
        return (x / x.norm())[0]
    out = model(pixels)
    return out.last_hidden_state[0, 0] if bare else out.pooler_output.flatten(1)[0]


def has_pooler(place):
    with safe_open(os.path.join(place, "model.safetensors"), "pt") as file:
        return any("pooler" in key for key in file.keys()) or not hasattr(T.AutoConfig.from_pretrained(place), "pooler_act")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model")
    p.add_argument("--sensorium", default="build/sensorium")
    p.add_argument("--text", nargs="*", default=["agent logged in", "What is the colour of the triangle?"])
    p.add_argument("--image", nargs="*", default=[])
    o = p.parse_args()
    with open(os.path.join(o.model, "config.json")) as file:
        config = json.load(file)
    failed = False
    for feature in config["input_features"]:
        if feature.get("encoder", {}).get("type") != "pretrained" or feature["type"] == "audio":
            continue
        place = os.path.join(o.model, feature["encoder"]["directory"])
        with open(os.path.join(place, "config.json")) as file:
            classes = json.load(file).get("architectures") or []
        load = getattr(T, classes[0], T.AutoModel) if classes else T.AutoModel
        model, info = load.from_pretrained(place, output_loading_info=True)
        model.eval()
        missing = {k for k in info["missing_keys"] if not k.startswith("pooler.")}  # a file without one gets a random one
        assert not missing and not info["unexpected_keys"], info
        worst, bare = 0.0, getattr(model, "pooler", None) is not None and not has_pooler(place)
        with torch.no_grad():
            for item in o.text if feature["type"] == "text" else o.image:
                theirs = theirs_text(model, place, item) if feature["type"] == "text" else theirs_image(model, place, item, bare)
                worst = max(worst, ((ours(o, place, item, feature["type"]) - theirs).abs().max() / theirs.abs().max()).item())
        adapted = os.path.exists(os.path.join(place, "adapter_config.json"))
        active = adapted and any("lora_" in name for name, _ in model.named_modules())
        if adapted and not active:
            raise SystemExit("PEFT is needed to open adapters")
        failed |= worst > 1e-4
        print(f"{place}: {type(model).__name__}{' with adapters' if adapted else ''}: largest difference {worst:.1e}")
    sys.exit(failed)


main()
