#!/usr/bin/env python3
"""Writes tests/golden/ops.safetensors: inputs and results of single operations, computed by PyTorch.

    python3 tools/golden_ops.py            needs torch and safetensors

tests/ops/test_goldens.c holds the attributes of each case under the same name. Tensors are "<case>/in<k>",
"<case>/out<k>" and, for backward cases that begin with their forward op, "<case>/dy". Pictures are [N, H, W, C].
"""
import os

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.manual_seed(20240229)
tensors = {}


def put(case, ins, outs, dy=None):
    for role, values in (("in", ins), ("out", outs)):
        for k, v in enumerate(values):
            if v is not None:
                v = v.detach()
                v = v.to(torch.int32) if not v.is_floating_point() else v.float()
                tensors[f"{case}/{role}{k}"] = v.contiguous().clone()
    if dy is not None:
        tensors[f"{case}/dy"] = dy.detach().contiguous().clone()


def leaf(*shape, scale=1.0):
    return (torch.randn(*shape) * scale).requires_grad_()


def nhwc(x):
    return None if x is None else x.permute(0, 2, 3, 1)


def grads(y, wrt):
    dy = torch.randn_like(y)
    return dy, torch.autograd.grad(y, wrt, dy)


def conv(name, x_shape, w_shape, **options):
    x, w, b = leaf(*x_shape), leaf(*w_shape), leaf(w_shape[0])
    y = F.conv2d(x, w, b, **options)
    dy, (dx, dw, db) = grads(y, (x, w, b))
    put(name, [nhwc(x), w, b], [nhwc(y)])
    put(name + "_bwd_data", [w, nhwc(dy)], [nhwc(dx)])
    put(name + "_bwd_weights", [nhwc(x), nhwc(dy)], [dw, db])


def products():
    conv("conv", (2, 3, 7, 8), (5, 3, 3, 3), padding=1)
    conv("conv_stride_groups", (2, 4, 7, 9), (6, 2, 3, 3), stride=2, padding=1, groups=2)
    conv("conv_dilated", (1, 3, 9, 8), (4, 3, 3, 2), dilation=2)
    x, w, b = leaf(4, 3, 10), leaf(7, 10), leaf(7)
    put("linear", [x, w, b], [F.linear(x, w, b)])
    put("linear_gelu", [x, w, b], [F.gelu(F.linear(x, w, b))])
    q, k = leaf(2, 3, 5, 8), leaf(2, 3, 6, 8)
    put("scores", [q, k], [q @ k.transpose(-1, -2)])


def norms():
    x, gamma, beta = leaf(2, 5, 12, scale=3.0), leaf(12), leaf(12)
    y, mean, rstd = torch.native_layer_norm(x, (12,), gamma, beta, 1e-5)
    dy, (dx, dg, db) = grads(y, (x, gamma, beta))
    put("layernorm", [x, gamma, beta], [y, mean.flatten(), rstd.flatten()])
    put("layernorm_bwd", [x, gamma, mean.flatten(), rstd.flatten(), dy], [dx, dg, db])

    x, gamma, beta = leaf(3, 6, 4, 5, scale=2.0), leaf(6), leaf(6)
    running = torch.randn(6), torch.rand(6) + 0.5
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
    y = F.batch_norm(x, running[0].clone(), running[1].clone(), gamma, beta, training=True)
    dy, (dx, dg, db) = grads(y, (x, gamma, beta))
    put("batchnorm", [nhwc(x), gamma, beta, *running], [nhwc(y), mean, var])
    put("batchnorm_bwd", [nhwc(x), gamma, mean, var, nhwc(dy)], [nhwc(dx), dg, db])
    y = F.batch_norm(x, *running, gamma, beta, training=False)
    dy, (dx, dg, db) = grads(y, (x, gamma, beta))
    put("batchnorm_running", [nhwc(x), gamma, beta, *running], [nhwc(y), *running])
    put("batchnorm_running_bwd", [nhwc(x), gamma, *running, nhwc(dy)], [nhwc(dx), dg, db])

    for name, f in (("softmax", F.softmax), ("log_softmax", F.log_softmax)):
        x = leaf(5, 11, scale=4.0)
        y = f(x, dim=-1)
        dy, (dx,) = grads(y, (x,))
        put(name, [x], [y])
        put(name + "_bwd", [y, dy], [dx])


def pools():
    x = leaf(2, 3, 7, 9)
    for name, y in (("maxpool", F.max_pool2d(x, 3, 2, 1)),
                    ("avgpool", F.avg_pool2d(x, 3, 2, 1, count_include_pad=False))):
        dy, (dx,) = grads(y, (x,))
        put(name, [nhwc(x)], [nhwc(y)])
        if name == "maxpool":
            put("maxpool_bwd", [nhwc(x)], [nhwc(dx)], dy=nhwc(dy))
        else:
            put("avgpool_bwd", [nhwc(dy)], [nhwc(dx)])


def recurrent():
    for name, kind in (("rnn", torch.nn.RNN), ("lstm", torch.nn.LSTM), ("gru", torch.nn.GRU)):
        layer = kind(5, 7, batch_first=True)
        for p in layer.parameters():
            torch.nn.init.normal_(p, std=0.5)
        x, weights = leaf(3, 6, 5), list(layer.parameters())
        y, _ = layer(x)
        dy, results = grads(y, (x, *weights))
        put(name, [x, *weights], [y])
        put(name + "_bwd", [x, *weights], list(results), dy=dy)


def split_heads(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def attend(q, k, v, heads, kv_heads, seen):
    """scaled_dot_product_attention of [N, T, heads * d]; seen: bool [N, 1, Tq, Tk]. A query that sees no key gives 0."""
    q, k, v = split_heads(q, heads), split_heads(k, kv_heads), split_heads(v, kv_heads)
    k, v = (x.repeat_interleave(heads // kv_heads, 1) for x in (k, v))
    any_key = seen.any(-1, keepdim=True)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen | ~any_key) * any_key
    scores = (q @ k.transpose(-1, -2)) / q.shape[-1] ** 0.5
    lse = torch.logsumexp(scores.masked_fill(~(seen | ~any_key), -torch.inf), -1) * any_key[..., 0]
    return y.transpose(1, 2).flatten(2), lse


def causal(tq, tk):
    return torch.ones(tq, tk, dtype=torch.bool).tril(tk - tq)[None, None]


def attention():
    d = 8

    def case(name, n, tq, tk, heads, kv_heads, seen, mask=None):
        q, k, v = leaf(n, tq, heads * d), leaf(n, tk, kv_heads * d), leaf(n, tk, kv_heads * d)
        y, lse = attend(q, k, v, heads, kv_heads, seen.expand(n, 1, tq, tk))
        dy, grad = grads(y, (q, k, v))
        put(name, [q, k, v] + ([] if mask is None else [mask]), [y, lse])
        put(name + "_bwd", [q, k, v, y, lse, dy] + ([] if mask is None else [mask]), list(grad))

    everything = torch.ones(1, 1, 1, 1, dtype=torch.bool)
    case("attention", 2, 5, 7, 3, 3, everything)
    case("attention_causal", 2, 4, 9, 2, 2, causal(4, 9))
    lengths = torch.tensor([6, 0, 3])
    case("attention_lengths", 3, 5, 6, 2, 2, (torch.arange(6) < lengths[:, None])[:, None, None], lengths)
    mask = torch.randint(0, 2, (3, 6))
    mask[1] = 0
    case("attention_mask", 3, 5, 6, 2, 2, (mask != 0)[:, None, None], mask)
    case("attention_groups", 2, 6, 6, 4, 2, causal(6, 6))
    case("attention_tiles", 1, 21, 37, 2, 2, everything)

    # Rows of a cache of different fill, its positions chosen by an ancestry table, then a padded prompt.
    n, t, heads, kv_heads, rows, steps = 3, 4, 4, 2, 5, 6
    q, k, v = leaf(n, t, heads * d), leaf(n, t, kv_heads * d), leaf(n, t, kv_heads * d)
    kc, vc = leaf(rows, steps, kv_heads * d), leaf(rows, steps, kv_heads * d)
    filled, ancestry = torch.tensor([6, 0, 3]), torch.randint(0, rows, (n, steps))
    mask = torch.tensor([[0, 1, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1]])
    keys = torch.cat((kc[ancestry, torch.arange(steps)], k), 1)
    values = torch.cat((vc[ancestry, torch.arange(steps)], v), 1)
    seen = torch.cat((torch.arange(steps) < filled[:, None], mask != 0), 1)[:, None, None] & causal(t, steps + t)
    y, _ = attend(q, keys, values, heads, kv_heads, seen)
    put("attention_cached", [q, k, v, kc, vc, filled, ancestry, mask], [y])


def losses():
    x, w = leaf(7, 5, scale=3.0), torch.rand(5) + 0.5
    labels = torch.tensor([0, 4, -1, 2, 2, 1, 3])
    for name, smoothing in (("xent", 0.0), ("xent_smoothed", 0.1)):
        y = F.cross_entropy(x, labels, weight=w, ignore_index=-1, label_smoothing=smoothing, reduction="none")
        dy, (dx,) = grads(y, (x,))
        put(name, [x, labels, w], [y])
        put(name + "_bwd", [x, labels, w, dy], [dx])
    x, t = leaf(6, 4, scale=8.0), torch.rand(6, 4)
    put("bce", [x, t], [F.binary_cross_entropy_with_logits(x, t, reduction="none")])
    x = leaf(60, scale=3.0)
    put("huber", [x], [F.huber_loss(x, torch.zeros_like(x), delta=1.5, reduction="none")])


def elementwise():
    unary = {"gelu": F.gelu, "gelu_tanh": lambda v: F.gelu(v, approximate="tanh"), "silu": F.silu,
             "relu": F.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}
    of_output = ("relu", "tanh", "sigmoid")
    for name, f in unary.items():
        x = leaf(200, scale=3.0)
        y = f(x)
        dy, (dx,) = grads(y, (x,))
        put(name, [x], [y])
        put(name + "_bwd", [y if name in of_output else x, dy], [dx])
    x = leaf(200, scale=8.0)
    put("softplus", [x], [F.softplus(x)])
    put("exp", [x], [torch.exp(x)])


def tables():
    table, ids = leaf(9, 6), torch.randint(0, 9, (3, 5))
    y = F.embedding(ids, table)
    dy, (dx,) = grads(y, (table,))
    put("embed", [table, ids], [y])
    put("embed_bwd", [ids, dy], [dx])
    x = leaf(4, 6, 5)
    put("sum_columns", [x], [x.sum((0, 1))])
    put("mean_rows", [x], [x.mean(-1)])


def arithmetic():
    a, b = leaf(3, 4), torch.rand(3, 4) + 0.5
    for name, f in (("add", torch.add), ("sub", torch.sub), ("mul", torch.mul), ("div", torch.div), ("maximum", torch.maximum)):
        put(name, [a, b], [f(a, b)])
    x = leaf(50, scale=3.0)
    for name, f in (("affine", lambda v: v * -1.5 + 0.25), ("square", torch.square), ("abs", torch.abs), ("sign", torch.sign),
                    ("clamp", lambda v: v.clamp(-0.5, 0.75))):
        put(name, [x], [f(x)])
    x = torch.rand(50) * 5 + 0.1
    put("log", [x], [torch.log(x)])
    put("sqrt", [x], [torch.sqrt(x)])
    x = leaf(200, scale=3.0)
    y = x * torch.sigmoid(1.702 * x)
    dy, (dx,) = grads(y, (x,))
    put("quick_gelu", [x], [y])
    put("quick_gelu_bwd", [x, dy], [dx])


def shapes():
    x = leaf(2, 3, 4, 5)
    put("transpose", [x], [x.permute(0, 2, 3, 1)])
    put("slice", [x], [x[:, 1:3]])
    put("broadcast", [x[:, :1]], [x[:, :1].expand(2, 6, 4, 5)])
    put("concat", [x, x[:, :2] * 2], [torch.cat([x, x[:, :2] * 2], 1)])
    put("argmax", [x], [x.argmax(-1)])
    part = leaf(2, 3)
    put("pad", [part], [F.pad(part, (2, 2))])
    put("copy", [part], [part.clone()])


def sequences():
    """Rows of lengths 4, 2 and 0 of 4 positions."""
    x, lengths = leaf(3, 4, 5), torch.tensor([4, 2, 0])
    valid = (torch.arange(4)[None] < lengths[:, None])[..., None]
    put("seq_mask", [x, lengths], [x * valid])
    turned = x.clone()
    for row, n in enumerate(lengths):
        turned[row, :n] = x[row, :n].flip(0)
    put("seq_reverse", [x, lengths], [turned])
    last = torch.stack([x[row, n - 1] if n else x[row, 0] * 0 for row, n in enumerate(lengths)])
    mean = (x * valid).sum(1) / lengths.clamp(min=1)[:, None]
    most, where = x.masked_fill(~valid, -torch.inf).max(1)
    most, where = torch.where(lengths[:, None] > 0, most, 0.0), torch.where(lengths[:, None] > 0, where, -1)
    for name, y, second in (("seq_last", last, None), ("seq_mean", mean, None), ("seq_max", most, where)):
        dy, (dx,) = grads(y, (x,))
        put(name, [x, lengths], [y] if second is None else [y, second])
        put(name + "_bwd", [dy, lengths if second is None else second], [dx])


def main():
    for part in (products, norms, pools, recurrent, losses, elementwise, tables, attention, arithmetic, shapes, sequences):
        part()
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "ops.safetensors")
    save_file(tensors, path, metadata={"made_by": "tools/golden_ops.py", "torch": torch.__version__.split("+")[0]})
    print(f"{len(tensors)} tensors, {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
