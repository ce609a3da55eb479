#!/usr/bin/env python3
"""Writes tests/golden/losses/*.safetensors: ten training steps of small models, computed by PyTorch.

    python3 tools/golden_losses.py            needs torch, numpy and safetensors

One file a case: "init/<parameter>" and "final/<parameter>" (before the first and after the tenth step),
"batch<k>/<column>" (the samples, before they are put together), "losses" [10], and in the metadata a "case" with
"config" (the model's config.json) and "trainer" (the optimiser). tests/train/test_losses.c reads all of it.

Samples: pictures u8 [N,H,W,C]; texts int32 [N,T] with "<column>.lengths" (0: no text); numbers f32 [N],
standardised (NaN: none); categories and binaries int32 [N] (-1: none). "<column>.present" u8 [N] for pictures.
"""
import json
import os

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.numpy import save_file

STEPS = 10
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "losses")
MEAN, STD = [0.5, 0.45, 0.4], [0.25, 0.3, 0.35]
VOCABULARY = 20  # words; padding and "unknown" come before them
CLASSES = {"label": 4, "place": 3}

# ---- encoders: what src/models builds, with the same parameter names ----


class ImageCnn(nn.Module):
    def __init__(self, channels, width, side, norm):
        super().__init__()
        self.n, last = len(channels), 3
        for i, c in enumerate(channels):
            setattr(self, f"conv{i + 1}", nn.Conv2d(last, c, 3, padding=1))
            if norm:
                setattr(self, f"norm{i + 1}", nn.BatchNorm2d(c))
            last = c
        self.dense = nn.Linear(last * (side >> self.n) ** 2, width)
        self.width = width

    def forward(self, x, lengths):
        x = x.permute(0, 3, 1, 2)
        for i in range(self.n):
            x = getattr(self, f"conv{i + 1}")(x)
            if hasattr(self, f"norm{i + 1}"):
                x = getattr(self, f"norm{i + 1}")(x)
            x = F.max_pool2d(F.relu(x), 2)
        return F.relu(self.dense(x.permute(0, 2, 3, 1).flatten(1)))


class Recurrent(nn.Module):
    def __init__(self, kind, embedding, width, layers=1, bidirectional=False):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY + 2, embedding)
        self.recurrent = kind(embedding, width, layers, batch_first=True, bidirectional=bidirectional)
        self.width = width * (2 if bidirectional else 1)

    def forward(self, ids, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(self.embedding(ids), lengths, batch_first=True, enforce_sorted=False)
        _, state = self.recurrent(packed)
        hidden = state[0] if isinstance(state, tuple) else state
        return torch.cat([hidden[-2], hidden[-1]], 1) if self.recurrent.bidirectional else hidden[-1]


class Block(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.heads = heads
        for name in ("query", "key", "value", "output"):
            setattr(self, name, nn.Linear(width, width))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x, valid):
        n, t, d = x.shape
        y = self.norm1(x)
        q, k, v = (f(y).view(n, t, self.heads, -1).transpose(1, 2) for f in (self.query, self.key, self.value))
        a = F.scaled_dot_product_attention(q, k, v, attn_mask=valid[:, None, None, :])
        x = x + self.output(a.transpose(1, 2).reshape(n, t, d))
        return x + self.linear2(F.gelu(self.linear1(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self, width, heads, hidden, layers, longest):
        super().__init__()
        self.words, self.positions = nn.Embedding(VOCABULARY + 2, width), nn.Embedding(longest, width)
        self.blocks = nn.Module()
        self.blocks.layers = nn.ModuleList(Block(width, heads, hidden) for _ in range(layers))
        self.blocks.norm = nn.LayerNorm(width)
        self.width = width

    def forward(self, ids, lengths):
        x = self.words(ids) + self.positions.weight[: ids.shape[1]]
        valid = torch.arange(ids.shape[1])[None] < lengths[:, None]
        for block in self.blocks.layers:
            x = block(x, valid)
        x = self.blocks.norm(x) * valid[..., None]
        return x.sum(1) / lengths[:, None]


class TextCnn(nn.Module):
    def __init__(self, embedding, widths, filters):
        super().__init__()
        self.embedding, self.widths = nn.Embedding(VOCABULARY + 2, embedding), widths
        for w in widths:
            setattr(self, f"conv{w}", nn.Conv2d(embedding, filters, (1, w)))
        self.width = filters * len(widths)

    def forward(self, ids, lengths):
        valid = torch.arange(ids.shape[1])[None] < lengths[:, None]
        x = (self.embedding(ids) * valid[..., None]).permute(0, 2, 1)[:, :, None]
        each = []
        for w in self.widths:
            y = F.relu(getattr(self, f"conv{w}")(F.pad(x, ((w - 1) // 2, w // 2))))[:, :, 0]
            each.append(y.masked_fill(~valid[:, None], -np.inf).amax(2))
        return torch.cat(each, 1)


class Table(nn.Module):
    def __init__(self, widths):
        super().__init__()
        size, last = CLASSES["place"] + 1, 0
        embedded = 4 + size // 4
        self.category0 = nn.Embedding(size, embedded)
        last = 2 + embedded
        for i, w in enumerate(widths):
            setattr(self, f"dense{i + 1}", nn.Linear(last, w))
            last = w
        self.n, self.width = len(widths), last

    def forward(self, x, place):
        x = torch.cat([x, self.category0(place + 1)], 1)
        for i in range(self.n):
            x = F.relu(getattr(self, f"dense{i + 1}")(x))
        return x


# ---- the whole ----


class Concat(nn.Module):
    def __init__(self, widths, out):
        super().__init__()
        self.dense = nn.Linear(sum(widths), out)

    def forward(self, parts):
        return F.relu(self.dense(torch.cat(parts, 1)))


class Product(nn.Module):
    def __init__(self, widths, out):
        super().__init__()
        for i, w in enumerate(widths):
            setattr(self, f"project{i}", nn.Linear(w, out))
        self.dense = nn.Linear(out, out)

    def forward(self, parts):
        x = 1
        for i, p in enumerate(parts):
            x = x * torch.tanh(getattr(self, f"project{i}")(p))
        return F.relu(self.dense(x))


class Model(nn.Module):
    def __init__(self, encoders, fusion, width, targets):
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.absent = nn.ParameterDict({n: torch.randn(1, e.width) * 0.3 for n, e in encoders.items()})
        self.fusion = fusion([e.width for e in encoders.values()], width)
        self.tasks = nn.ModuleDict()
        for name in targets:
            self.tasks[name] = nn.Module()
            self.tasks[name].head = nn.Linear(width, CLASSES.get(name, 1))

    def part(self, name, batch):
        """The arrays of a part, and which rows have it."""
        real = next(self.parameters()).dtype
        if name == "photo":
            x = (torch.tensor(batch["photo"]).to(real) / 255 - torch.tensor(MEAN, dtype=real)) / torch.tensor(STD, dtype=real)
            return torch.tensor(batch["photo.present"]) > 0, x, None
        if name == "note":
            lengths = torch.tensor(batch["note.lengths"]).long()
            return lengths > 0, torch.tensor(batch["note"]).long(), lengths
        size, place = torch.tensor(batch["size"]).to(real), torch.tensor(batch["place"]).long()
        gone = size.isnan()
        return ~gone | (place >= 0), torch.stack([size.nan_to_num(0), gone.to(real)], 1), place

    def forward(self, batch):
        parts = []
        for name, encoder in self.encoders.items():
            present, a, b = self.part(name, batch)
            full = self.absent[name].repeat(len(present), 1)
            if present.any():
                full[present] = encoder(a[present], None if b is None else b[present])
            parts.append(full)
        fused = self.fusion(parts)
        return {name: task.head(fused) for name, task in self.tasks.items()}


def loss_of(raw, batch, options):
    total = 0
    for name, x in raw.items():
        y, o = torch.tensor(batch[name]), options[name]
        if name == "label":
            weights = torch.tensor(o.get("class_weights", [1.0] * CLASSES[name]), dtype=x.dtype)
            loss = F.cross_entropy(x, y.long(), weights, ignore_index=-1, label_smoothing=o.get("label_smoothing", 0))
        elif name == "sold":
            known = y >= 0
            w = torch.where(y > 0, torch.tensor(o.get("positive_weight", 1.0)), torch.tensor(1.0)).to(x.dtype)[known]
            loss = F.binary_cross_entropy_with_logits(x[known, 0], y[known].to(x.dtype), w, reduction="sum") / w.sum()
        else:
            known = ~y.isnan()
            d, t = x[known, 0], y[known].to(x.dtype)
            kind = o.get("type", "mean_squared_error")
            loss = (F.huber_loss(d, t, delta=o["delta"]) if kind == "huber"
                    else F.l1_loss(d, t) if kind == "mean_absolute_error" else F.mse_loss(d, t))
        total = total + o.get("weight", 1.0) * loss
    return total


# ---- data ----


def batch_of(rng, columns, rows, side, holes):
    """A batch in which the targets can be learned a little from the inputs; `holes`: cells may be empty."""
    gone = (lambda: rng.random(rows) < 0.2) if holes else (lambda: np.zeros(rows, bool))
    label, b = rng.integers(0, CLASSES["label"], rows).astype(np.int32), {}
    if "photo" in columns:
        light = 40 * label[:, None, None, None] + rng.integers(0, 120, (rows, side, side, 3))
        b["photo"], b["photo.present"] = light.astype(np.uint8), (~gone()).astype(np.uint8)
    if "note" in columns:
        lengths = np.where(gone(), 0, rng.integers(1, 12, rows)).astype(np.int32)
        ids = rng.integers(1, VOCABULARY + 2, (rows, 11)).astype(np.int32)
        ids[:, 0] = 2 + label
        ids[np.arange(11)[None] >= lengths[:, None]] = 0
        b["note"], b["note.lengths"] = ids, lengths
    if "size" in columns:
        b["size"] = np.where(gone(), np.nan, label - 1.5 + rng.normal(0, 0.3, rows)).astype(np.float32)
        b["place"] = np.where(gone(), -1, rng.integers(0, CLASSES["place"], rows)).astype(np.int32)
    if "label" in columns:
        b["label"] = np.where(gone(), -1, label).astype(np.int32)
    if "sold" in columns:
        b["sold"] = np.where(gone(), -1, label % 2).astype(np.int32)
    if "price" in columns:
        b["price"] = np.where(gone(), np.nan, 1.2 * label - 2 + rng.normal(0, 0.2, rows)).astype(np.float32)
    return b


# ---- config.json ----

KINDS = {"photo": "image", "note": "text", "size": "number", "place": "category", "label": "category", "sold": "binary",
         "price": "number"}


def feature(name, side):
    pre = {"image": {"height": side, "width": side, "channels": 3, "resample": "bilinear", "mean": MEAN, "std": STD},
           "text": {"vocabulary": {"ngrams": 1, "words": [f"w{i}" for i in range(VOCABULARY)]}, "max_length": 16},
           "number": {"mean": 0.0, "std": 1.0, "min": -1.0, "max": 1.0},
           "category": {"classes": [f"c{i}" for i in range(CLASSES.get(name, 2))]},
           "binary": {"classes": ["no", "yes"]}}[KINDS[name]]
    return {"name": name, "type": KINDS[name], "preprocessing": pre}


def config_of(case, fusion):
    inputs = []
    for name in ("photo", "note", "size", "place"):
        part = "table" if name in ("size", "place") else name
        if part in case["encoders"]:
            inputs.append(feature(name, case["side"]))
            if part != "table":
                inputs[-1]["encoder"] = case["encoders"][part]
    root = {"model_type": "sensorium", "schema": 1, "input_features": inputs}
    if "table" in case["encoders"]:
        root["table"] = {"encoder": case["encoders"]["table"]}
    root["combiner"] = {"type": fusion, "width": case["width"]}
    root["output_features"] = [feature(n, 0) | {"task": KINDS[n], "loss": o} for n, o in case["targets"].items()]
    return root | {"recipe": {"threads": 2, "precision": "f32", "seed": 1}}


def encoder_of(options, side):
    o, kind = {k: v for k, v in options.items() if k not in ("type", "dropout")}, options["type"]
    if "channels" in o:
        return ImageCnn(o["channels"], o["width"], side, o.get("norm", False))
    if kind == "transformer":
        return Transformer(o["width"], o["heads"], o["hidden"], o["layers"], o["max_length"])
    if kind == "cnn":
        return TextCnn(o["embedding"], o["widths"], o["filters"])
    if kind == "mlp":
        return Table(o["widths"])
    return Recurrent({"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}[kind], **o)


# ---- training ----


def decays(model):
    """Weight decay is for the weights of linear, convolutional and recurrent layers only."""
    names, spared = set(), (nn.Embedding, nn.BatchNorm2d, nn.LayerNorm, nn.ParameterDict)
    for prefix, module in model.named_modules():
        for name, _ in module.named_parameters(recurse=False):
            if not name.startswith("bias") and not isinstance(module, spared):
                names.add(f"{prefix}.{name}")
    return names


def optimiser_of(model, o):
    wanted, groups = decays(model), {True: [], False: []}
    for name, p in model.named_parameters():
        groups[name in wanted].append(p)
    both = [{"params": groups[True], "weight_decay": o["weight_decay"]}, {"params": groups[False], "weight_decay": 0.0}]
    if o["type"] == "sgd":
        return torch.optim.SGD(both, o["learning_rate"], momentum=o["momentum"])
    return torch.optim.AdamW(both, o["learning_rate"], eps=o["eps"])


def run(model, batches, case):
    optimiser, losses, clipped = optimiser_of(model, case["trainer"]), [], 0
    for batch in batches:
        optimiser.zero_grad()
        loss = loss_of(model(batch), batch, case["targets"])
        loss.backward()
        for p in model.parameters():  # a part that no row has: its gradients are zero
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        if case["trainer"]["clip"]:
            clipped += bool(nn.utils.clip_grad_norm_(model.parameters(), case["trainer"]["clip"]) > case["trainer"]["clip"])
        optimiser.step()
        losses.append(loss.item())
    return np.array(losses), clipped


def weights_of(model, prefix):
    return {prefix + n: v.detach().float().numpy().copy() for n, v in model.state_dict().items() if "num_batches" not in n}


def write(name, case, seed):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    columns = list(case["encoders"]) + list(case["targets"]) + (["size"] if "table" in case["encoders"] else [])
    model = Model({n: encoder_of(o, case["side"]) for n, o in case["encoders"].items()},
                  {"concat": Concat, "product": Product}[case["fusion"]], case["width"], case["targets"])
    batches = [batch_of(rng, columns, case["rows"] - (k == STEPS - 1), case["side"], case["holes"]) for k in range(STEPS)]
    if case["holes"] and "photo" in columns:
        batches[3]["photo.present"][:] = 0  # nobody has a picture here
    tensors = weights_of(model, "init/")
    exact = Model({n: encoder_of(o, case["side"]) for n, o in case["encoders"].items()},
                  {"concat": Concat, "product": Product}[case["fusion"]], case["width"], case["targets"])
    exact.load_state_dict(model.state_dict())
    exact.double()
    losses, clipped = run(model, batches, case)
    check, _ = run(exact, batches, case)
    final, truth = weights_of(model, "final/"), weights_of(exact, "final/")
    drift = max(float(np.abs(final[n] - truth[n]).max()) for n in final)
    # goldens that rounding alone could move would prove nothing
    assert np.abs(losses / check - 1).max() < 1e-5 and drift < 2e-5, (name, losses / check - 1, drift)
    assert (clipped > 2) == bool(case["trainer"]["clip"]), (name, clipped)
    tensors |= final | {"losses": losses.astype(np.float64).astype(np.float32)}
    for k, batch in enumerate(batches):
        tensors |= {f"batch{k}/{n}": np.ascontiguousarray(v) for n, v in batch.items()}
    path = os.path.join(FOLDER, name + ".safetensors")
    about = {"config": config_of(case, case["fusion"]), "trainer": case["trainer"], "made_by": "tools/golden_losses.py",
             "torch": torch.__version__.split("+")[0]}
    save_file(tensors, path, metadata={"case": json.dumps(about)})  # one key: several would come in any order
    print(f"{name:14} {os.path.getsize(path):7} bytes, losses {losses[0]:.4f} .. {losses[-1]:.4f}, drift {drift:.1e}, {clipped} clipped")


ADAMW = {"type": "adamw", "learning_rate": 1e-2, "weight_decay": 0.05, "eps": 1e-8, "clip": 0}
SGD = {"type": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.01, "clip": 0}
LABEL = {"label": {}}
ARTICLE = {"type": "cnn", "channels": [4, 8, 16], "width": 32, "dropout": 0.0}
PLAIN = {"encoders": {}, "targets": LABEL, "trainer": ADAMW, "fusion": "concat", "width": 12, "side": 16, "rows": 6, "holes": False}
CASES = {
    "article_cnn": {"encoders": {"photo": ARTICLE}},
    "cnn_sgd": {"encoders": {"photo": ARTICLE}, "trainer": SGD | {"clip": 0.5}, "rows": 4},
    "cnn_norm": {"encoders": {"photo": ARTICLE | {"channels": [4, 8], "width": 8, "norm": True}}, "trainer": SGD | {"learning_rate": 0.02},
                 "side": 8, "rows": 8},
    "gru": {"encoders": {"note": {"type": "gru", "embedding": 8, "width": 12, "dropout": 0.0}}, "rows": 8},
    "gru_deep": {"encoders": {"note": {"type": "gru", "embedding": 8, "width": 10, "layers": 2, "bidirectional": True, "dropout": 0.0}}},
    "lstm": {"encoders": {"note": {"type": "lstm", "embedding": 8, "width": 12, "dropout": 0.0}}, "rows": 8},
    "lstm_deep": {"encoders": {"note": {"type": "lstm", "embedding": 8, "width": 10, "layers": 2, "bidirectional": True, "dropout": 0.0}},
                  "trainer": SGD | {"clip": 0.4}},
    "rnn": {"encoders": {"note": {"type": "rnn", "embedding": 8, "width": 12, "dropout": 0.0}}, "rows": 8},
    "text_cnn": {"encoders": {"note": {"type": "cnn", "embedding": 8, "widths": [2, 3, 4], "filters": 6, "dropout": 0.0}}, "rows": 8},
    "transformer": {"encoders": {"note": {"type": "transformer", "width": 12, "heads": 3, "hidden": 24, "layers": 2, "max_length": 16,
                                          "dropout": 0.0}},
                    "trainer": ADAMW | {"eps": 1e-4}, "rows": 8},  # the gradient of a key's bias is 0 but for rounding
    "multitask": {"encoders": {"photo": ARTICLE | {"width": 12}, "note": {"type": "gru", "embedding": 8, "width": 12, "dropout": 0.0},
                               "table": {"type": "mlp", "widths": [10, 8], "dropout": 0.0}},
                  "targets": {"label": {"label_smoothing": 0.1, "class_weights": [1.0, 2.0, 0.5, 1.5]},
                              "sold": {"positive_weight": 2.5, "weight": 0.7},
                              "price": {"type": "huber", "delta": 0.7, "weight": 1.6}},
                  "trainer": ADAMW | {"clip": 0.6}, "width": 16, "rows": 8, "side": 8, "holes": True},
    "product": {"encoders": {"photo": ARTICLE | {"width": 12}, "note": {"type": "lstm", "embedding": 8, "width": 12, "dropout": 0.0}},
                "targets": {"price": {"type": "mean_squared_error"}}, "fusion": "product", "width": 16, "side": 8},
}


def main():
    os.makedirs(FOLDER, exist_ok=True)
    for k, (name, case) in enumerate(CASES.items()):
        write(name, PLAIN | case, 1000 + k)
    print(sum(os.path.getsize(os.path.join(FOLDER, f)) for f in os.listdir(FOLDER)), "bytes in all")


if __name__ == "__main__":
    main()
