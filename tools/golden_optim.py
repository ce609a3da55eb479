#!/usr/bin/env python3
"""Goldens of optimisers and schedules, from torch.optim: tests/golden/optim.safetensors.

Two parameters, "a" [5, 7] and "b" [3]; b has no weight decay and half the learning rate. Ten steps with the
gradients "g.a", "g.b" and the rates "rate"; "<case>.a" and "<case>.b" are the weights after each step.
"schedule.<case>" are the learning rates of the steps. The cases' options are repeated in test_optimiser.c and
test_schedule.c. Usage: golden_optim.py OUT (needs torch and safetensors)."""
import sys

import torch
from safetensors.torch import save_file
from torch import optim

STEPS = 10
CASES = {
    "sgd": (optim.SGD, dict(weight_decay=0.01)),
    "sgd_momentum": (optim.SGD, dict(momentum=0.9, weight_decay=0.01)),
    "sgd_nesterov": (optim.SGD, dict(momentum=0.8, nesterov=True)),
    "rmsprop": (optim.RMSprop, dict()),
    "rmsprop_momentum": (optim.RMSprop, dict(alpha=0.9, eps=1e-6, momentum=0.5, weight_decay=0.1)),
    "adam": (optim.Adam, dict(weight_decay=0.1)),
    "adamw": (optim.AdamW, dict()),
    "adamw_other": (optim.AdamW, dict(betas=(0.8, 0.95), eps=1e-6, weight_decay=0.2)),
}


def optimisers(out):
    torch.manual_seed(3)
    a, b = torch.randn(5, 7), torch.randn(3)
    ga, gb = torch.randn(STEPS, 5, 7), torch.randn(STEPS, 3) * 0.1
    rate = torch.tensor([0.01 * (1 + i % 3) for i in range(STEPS)])
    out |= {"a": a, "b": b, "g.a": ga, "g.b": gb, "rate": rate}
    for name, (kind, options) in CASES.items():
        pa, pb = torch.nn.Parameter(a.clone()), torch.nn.Parameter(b.clone())
        optimiser = kind([{"params": [pa]}, {"params": [pb], "weight_decay": 0.0}], lr=1.0, **options)
        trace_a, trace_b = [], []
        for i in range(STEPS):
            optimiser.param_groups[0]["lr"] = rate[i].item()
            optimiser.param_groups[1]["lr"] = rate[i].item() / 2
            pa.grad, pb.grad = ga[i].clone(), gb[i].clone()
            optimiser.step()
            trace_a.append(pa.detach().clone())
            trace_b.append(pb.detach().clone())
        out[name + ".a"], out[name + ".b"] = torch.stack(trace_a), torch.stack(trace_b)


def rates(make, steps, base):
    optimiser = optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    schedule, got = make(optimiser), []
    for _ in range(steps):
        got.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return torch.tensor(got, dtype=torch.float64).float()


def schedules(out):
    kinds = optim.lr_scheduler
    out["schedule.one_cycle"] = rates(lambda o: kinds.OneCycleLR(o, max_lr=0.02, total_steps=41), 40, 0.02)
    out["schedule.one_cycle_rise"] = rates(lambda o: kinds.OneCycleLR(o, max_lr=1.0, total_steps=31, pct_start=0.5), 30, 1.0)
    out["schedule.cosine"] = rates(lambda o: kinds.CosineAnnealingLR(o, T_max=30), 30, 0.1)
    out["schedule.step"] = rates(lambda o: kinds.StepLR(o, step_size=6, gamma=0.3), 30, 0.1)


tensors = {}
optimisers(tensors)
schedules(tensors)
save_file(tensors, sys.argv[1])
