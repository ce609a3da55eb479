"""Published models that Transformers does not have: its ResNet under timm's and torchvision's names, and VGG in torch.

Used by golden_pages.py (tiny) and by full_models.py and check_full_models.py (full size)."""
import json
import os
import re

import torch
import transformers as T
from safetensors.torch import load_file, save_file

RESNET = [("resnet.embedder.embedder.convolution", "conv1"), ("resnet.embedder.embedder.normalization", "bn1"),
          (r"resnet.encoder.stages.(\d+).layers.(\d+).", lambda m: f"layer{int(m[1]) + 1}.{m[2]}."),
          (r"layer\.(\d+).convolution", lambda m: f"conv{int(m[1]) + 1}"), (r"layer\.(\d+).normalization", lambda m: f"bn{int(m[1]) + 1}"),
          ("shortcut.convolution", "downsample.0"), ("shortcut.normalization", "downsample.1"), ("classifier.1", "fc")]


class Saved(torch.nn.Module):
    """A model that saves itself with a config.json of its own and with names that `renames` (regular expressions) change."""
    renames, config = [], {}

    def tie_weights(self):
        pass

    def renamed(self, name):
        for pattern, to in self.renames:
            name = re.sub(pattern, to, name)
        return name

    def save_pretrained(self, place):
        os.makedirs(place, exist_ok=True)
        save_file({self.renamed(k): v.contiguous().clone() for k, v in self.state_dict().items()}, os.path.join(place, "model.safetensors"))
        with open(os.path.join(place, "config.json"), "w") as file:
            file.write(json.dumps(self.config, indent=2) + "\n")


class Renamed(Saved):
    def __init__(self, model, renames, **config):
        super().__init__()
        self.model, self.renames, self.config = model, [("^model.", "")] + renames, config

    def forward(self, **given):
        return self.model(**given)


class VGG(Saved):
    def __init__(self, depth, norms, timm, num_classes, num_channels, widths, hidden_size):
        super().__init__()
        self.timm, self.config = timm, dict(num_classes=num_classes, num_channels=num_channels, widths=widths, hidden_size=hidden_size)
        self.config.update({"architecture": f"vgg{depth}"} if timm else {"model_type": "vgg", "depth": depth, "batch_norm": norms})
        layers, last, nn = [], num_channels, torch.nn
        for width, convs in zip(widths, {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}[depth]):
            for _ in range(convs):
                layers += [nn.Conv2d(last, width, 3, padding=1)] + ([nn.BatchNorm2d(width)] if norms else []) + [nn.ReLU()]
                last = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        if timm:
            self.pre_logits = nn.ModuleDict({"fc1": nn.Conv2d(last, hidden_size, 7), "fc2": nn.Conv2d(hidden_size, hidden_size, 1)})
            self.head = nn.ModuleDict({"fc": nn.Linear(hidden_size, num_classes)})
        else:
            self.classifier = nn.Sequential(nn.Linear(last * 49, hidden_size), nn.ReLU(), nn.Dropout(), nn.Linear(hidden_size, hidden_size),
                                            nn.ReLU(), nn.Dropout(), nn.Linear(hidden_size, num_classes))

    def forward(self, pixel_values, **_):
        x, states, F = pixel_values, [], torch.nn.functional
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, torch.nn.MaxPool2d):
                states.append(x)
        got = {"hidden_states": states, "last_hidden_state": x}
        if self.timm:
            x = F.adaptive_avg_pool2d(x, (max(7, x.shape[2]), max(7, x.shape[3])))
            x = F.relu(self.pre_logits["fc2"](F.relu(self.pre_logits["fc1"](x)))).mean((2, 3))
            return {**got, "pooler_output": x, "logits": self.head["fc"](x)}
        x = self.classifier[:6](F.adaptive_avg_pool2d(x, 7).flatten(1))
        return {**got, "pooler_output": x, "logits": self.classifier[6](x)}


def vgg16(timm, **sizes):
    return VGG(16, False, timm, **{"num_classes": 1000, "num_channels": 3, "widths": [64, 128, 256, 512, 512], "hidden_size": 4096, **sizes})


def timm_resnet50():
    return Renamed(T.ResNetForImageClassification(T.ResNetConfig(num_labels=1000)), RESNET, architecture="resnet50", num_classes=1000)


def load(place):
    """One of the two above as save_pretrained wrote it."""
    with open(os.path.join(place, "config.json")) as file:
        config = json.load(file)
    model = timm_resnet50() if config.get("architecture") == "resnet50" else vgg16("architecture" in config)
    weights = load_file(os.path.join(place, "model.safetensors"))
    model.load_state_dict({name: weights[model.renamed(name)] for name in model.state_dict()})
    return model
