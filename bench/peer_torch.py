"""peer_torch.py: PyTorch's side of `make bench`, with the protocol of bench_train.c.

    peer_torch.py ROW ARGUMENTS…   prints {"ready":true}, answers one JSON line for each line on stdin

    cnn step|forward THREADS                 "run DTYPE LAYOUT ADAMW": f32|bf16, contiguous|channels_last,
                                             default|fused (one model, so that several settings fit into memory)
    vqa DTYPE LAYOUT THREADS EPOCHS TRAIN TEST   "steps N", "epoch" (whole, then scored on TEST)
    images THREADS SIDE PASSES FILE…         "run", with Pillow and numpy
    model TRAIN OUTPUT                       an equivalent small model, saved (no talk)
    predict OUTPUT PICTURE QUESTION          loads it and predicts (no talk)

Same networks, recipes, inputs and amounts of work as ours. AdamW is PyTorch's fused one but where "default" is asked
for. The time is of the work alone, by this process's own clock.
"""
import contextlib
import csv
import json
import os
import re
import sys
import time


def talk(answer):
    print('{"ready":true}', flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(line.split())), flush=True)


# ---- the article's CNN ----

def cnn(mode, threads):
    import torch
    from torch import nn
    torch.set_num_threads(int(threads))
    torch.manual_seed(1)
    layers, channels = [], 3
    for width in 64, 128, 256:
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(256 * 28 * 28, 1024), nn.ReLU(), nn.Dropout(0.5), nn.Linear(1024, 10))
    model.train(mode == 'step')
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4) if mode == 'step' else None
    x, labels = torch.rand(32, 3, 224, 224) * 2 - 1, torch.arange(32) % 10
    state = {'layout': None, 'x': x}

    def settle(layout, adamw):
        for group in optimiser.param_groups if optimiser else ():
            group['fused'] = True if adamw == 'fused' else None
        if state['layout'] == layout:
            return
        form = getattr(torch, layout + '_format' if layout == 'contiguous' else layout)
        model.to(memory_format=form)
        for moments in optimiser.state.values() if optimiser else ():
            for key, value in moments.items():
                if value.dim() == 4:
                    moments[key] = value.contiguous(memory_format=form)
        state.update(layout=layout, x=x.contiguous(memory_format=form))

    def step():
        optimiser.zero_grad(set_to_none=True)
        with autocast:
            loss = nn.functional.cross_entropy(model(state['x']), labels)
        loss.backward()
        optimiser.step()
        return loss.item()

    def forward():
        with torch.inference_mode(), autocast:
            return model(state['x']).float().mean().item()

    def answer(words):
        nonlocal autocast
        _, dtype, layout, adamw = words
        settle(layout, adamw)
        autocast = torch.autocast('cpu', torch.bfloat16) if dtype == 'bf16' else contextlib.nullcontext()
        start = time.perf_counter()
        loss = step() if optimiser else forward()
        return {'seconds': time.perf_counter() - start, 'loss': loss}

    autocast = None
    talk(answer)


# ---- easy_vqa ----

def words_of(text):
    return re.findall(r'\w+|[^\w\s]', text.lower())


def read_table(path, limit=None):
    with open(path, newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))[:limit]
    folder = os.path.dirname(path)
    return [(os.path.join(folder, row['image']), row['text'], row['label']) for row in rows]


def vqa_net(vocabulary, classes):
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            layers, channels = [], 3
            for width in 16, 32, 64:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
                channels = width
            self.image = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 8 * 8, 256), nn.ReLU())
            self.embedding = nn.Embedding(vocabulary, 64)
            self.gru = nn.GRU(64, 256, batch_first=True)
            self.joint = nn.Sequential(nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, classes))

        def forward(self, pictures, ids, lengths):
            states, _ = self.gru(self.embedding(ids))
            last = states[torch.arange(len(ids)), lengths - 1]
            return self.joint(torch.cat([self.image(pictures), last], 1))

    return Net()


class Data:
    """Every distinct picture decoded once; questions as ids."""

    def __init__(self, rows, known=None):
        import numpy as np
        import torch
        from PIL import Image
        paths = sorted({path for path, _, _ in rows})
        at = {path: i for i, path in enumerate(paths)}
        self.pixels = torch.from_numpy(np.stack([np.asarray(Image.open(path).convert('RGB')) for path in paths])).permute(0, 3, 1, 2)
        if known is None:
            x = self.pixels[:256].float() / 255
            known = {'words': {w: i + 2 for i, w in enumerate(sorted({w for _, q, _ in rows for w in words_of(q)}))},
                     'classes': {c: i for i, c in enumerate(sorted({c for _, _, c in rows}))},
                     'mean': x.mean((0, 2, 3), keepdim=True), 'std': x.std((0, 2, 3), keepdim=True)}
        self.known = known
        self.pictures = torch.tensor([at[path] for path, _, _ in rows])
        cut = {q: [known['words'].get(w, 1) for w in words_of(q)] for _, q, _ in rows}
        self.lengths = torch.tensor([len(cut[q]) for _, q, _ in rows])
        self.ids = torch.zeros(len(rows), int(self.lengths.max()), dtype=torch.long)
        for i, (_, q, _) in enumerate(rows):
            self.ids[i, :len(cut[q])] = torch.tensor(cut[q])
        self.labels = torch.tensor([known['classes'].get(c, -1) for _, _, c in rows])

    def batch(self, rows, form):
        lengths = self.lengths[rows]
        x = (self.pixels[self.pictures[rows]].float() / 255 - self.known['mean']) / self.known['std']
        return x.contiguous(memory_format=form), self.ids[rows, :int(lengths.max())], lengths


def vqa(dtype, layout, threads, epochs, train, test):
    import torch
    torch.set_num_threads(int(threads))
    torch.manual_seed(1)
    form = torch.channels_last if layout == 'channels_last' else torch.contiguous_format
    data = Data(read_table(train))
    held = Data(read_table(test), data.known)
    net = vqa_net(len(data.known['words']) + 2, len(data.known['classes'])).to(memory_format=form)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, fused=True)
    n, per_epoch = len(data.labels), (len(data.labels) + 63) // 64
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=int(epochs) * per_epoch + 1, cycle_momentum=False)

    def autocast():
        return torch.autocast('cpu', torch.bfloat16) if dtype == 'bf16' else contextlib.nullcontext()

    def steps():
        epoch = 0
        while True:
            order = torch.randperm(n)
            net.train()
            for at in range(0, n, 64):
                rows = order[at:at + 64]
                optimiser.zero_grad(set_to_none=True)
                with autocast():
                    loss = torch.nn.functional.cross_entropy(net(*data.batch(rows, form)).float(), data.labels[rows])
                loss.backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
                optimiser.step()
                schedule.step()
                yield loss.item()
            epoch += 1

    def accuracy():
        net.eval()
        right = 0
        with torch.inference_mode(), autocast():
            for rows in torch.arange(len(held.labels)).split(64):
                right += (net(*held.batch(rows, form)).argmax(1) == held.labels[rows]).sum().item()
        net.train()
        return right / len(held.labels)

    source, done = steps(), 0

    def answer(words):
        nonlocal done
        want = int(words[1]) if words[0] == 'steps' else per_epoch - done % per_epoch
        start = time.perf_counter()
        for _ in range(want):
            loss = next(source)
        seconds = time.perf_counter() - start
        done += want
        result = {'seconds': seconds, 'steps': want, 'per_epoch': per_epoch, 'loss': loss}
        if words[0] == 'epoch':
            result.update(epoch=done // per_epoch, accuracy=accuracy())
        return result

    talk(answer)


# ---- pictures ----

def images(threads, side, passes, *files):
    from concurrent.futures import ThreadPoolExecutor
    import numpy as np
    from PIL import Image
    side, passes, n = int(side), int(passes), len(files)
    out = np.empty((n, side, side, 3), np.float32)
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    scale, shift = 1 / (255 * std), mean / std  # one multiplication and one subtraction, in place

    def one(i):
        with Image.open(files[i]) as picture:
            sized = picture.convert('RGB').resize((side, side), Image.Resampling.BILINEAR)
        np.multiply(sized, scale, out=out[i], dtype=np.float32)
        out[i] -= shift

    def answer(_):
        start = time.perf_counter()
        for _ in range(passes):
            if pool:
                list(pool.map(one, range(n)))
            else:
                for i in range(n):
                    one(i)
        return {'seconds': time.perf_counter() - start, 'images': n * passes, 'mean': float(out.mean(dtype=np.float64))}

    pool = ThreadPoolExecutor(int(threads)) if int(threads) > 1 else None
    talk(answer)


# ---- a model, and a prediction from the start of a process ----

def model(train, output):
    import torch
    data = Data(read_table(train, 2000))
    net = vqa_net(len(data.known['words']) + 2, len(data.known['classes']))
    torch.save({'known': data.known, 'weights': net.state_dict()}, output)


def predict(path, picture, question):
    import torch
    torch.set_num_threads(2)
    saved = torch.load(path)
    known = saved['known']
    net = vqa_net(len(known['words']) + 2, len(known['classes']))
    net.load_state_dict(saved['weights'])
    net.eval()
    row = Data([(picture, question, '')], known)
    with torch.inference_mode():
        p = net(*row.batch(torch.arange(1), torch.contiguous_format)).softmax(1)[0]
    best = int(p.argmax())
    print(list(known['classes'])[best], float(p[best]), flush=True)


if __name__ == '__main__':
    rows = {f.__name__: f for f in (cnn, vqa, images, model, predict)}
    rows[sys.argv[1]](*sys.argv[2:])
