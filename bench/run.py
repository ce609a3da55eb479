"""run.py: `make bench`. Ours and the peer, alternately in one run; a table on the terminal and a JSON file.

    run.py BUILD [--rows NAME,…] [--rounds N] [--threads N] [--wait SECONDS] [--full] [--data DIRECTORY] [--json FILE]

A round measures every contestant of a row once, one after the other, so that a slow minute hits all of them. Before a
round it waits for an idle machine (--wait seconds in all for a row). A round during which other processes used more
than a tenth of a core is thrown away and done again, at most --rounds times; if clean ones are still too few, the least
disturbed are taken and the row is marked. A figure is the median over the rounds; a ratio is the median of the rounds'
ratios, above 1 where ours is better. Rows that were measured earlier stay in the JSON file.

The peer is PyTorch in the Python of SN_BENCH_PYTHON (python3 where it has torch); without one, ours is measured alone.
Rows over published models (--models) have Transformers and ONNX Runtime beside ours where that Python has them, and
llama.cpp and whisper.cpp where --llama-bench and --whisper-bench name their programs (peer_processes.py).
"""
import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import models
import peer_processes
import tokenizing

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
TICK = os.sysconf('SC_CLK_TCK')
FOREIGN = 0.1  # cores


# ---- processes ----

class Worker:
    """One process that answers a JSON line for each line it is told."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError('%s ended with %s' % (' '.join(self.process.args[:3]), self.process.wait()))
        return json.loads(line)

    def ask(self, text):
        self.process.stdin.write(text + '\n')
        self.process.stdin.flush()
        return self.read()

    def close(self):
        """Ends it; its largest resident size in bytes."""
        self.process.stdin.close()
        self.process.stdout.close()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_maxrss * 1024


def busy_seconds():
    with open('/proc/stat', encoding='ascii') as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICK


def own_seconds(pids):
    total = 0
    for pid in pids:
        with open('/proc/%d/stat' % pid, encoding='utf-8', errors='replace') as file:
            total += sum(map(int, file.read().rpartition(')')[2].split()[11:15]))  # own and reaped children's time
    return total / TICK


class Watch:
    """How many cores others used since it was made."""

    def __init__(self, pids):
        self.pids = [os.getpid(), *pids]
        self.start, self.busy, self.own = time.monotonic(), busy_seconds(), own_seconds(self.pids)

    def foreign(self):
        wall = max(time.monotonic() - self.start, 0.05)
        others = busy_seconds() - self.busy - (own_seconds(self.pids) - self.own)
        return max(0.0, others - 3 / TICK) / wall  # three ticks of rounding


class Idle:
    """Waits until others are quiet, `patience` seconds in all."""

    def __init__(self, patience):
        self.left = patience

    def wait(self):
        while self.left > 0:
            start, watch = time.monotonic(), Watch([])
            time.sleep(0.5)
            if watch.foreign() < FOREIGN:
                return
            self.left -= time.monotonic() - start


# ---- alternating ----

def measure(contestants, options, pids):
    """contestants {name: function -> figure}: {name: [a figure a round]}, and how loaded the worst round kept was."""
    idle, rounds = Idle(options.wait), []
    for _ in range(2 * options.rounds):
        idle.wait()
        figures, worst = {}, 0
        for name, run in contestants.items():
            watch = Watch(pids)
            figures[name] = run()
            worst = max(worst, watch.foreign())
        rounds.append((worst, figures))
        if sum(foreign < FOREIGN for foreign, _ in rounds) >= options.rounds:
            break
    rounds.sort(key=lambda entry: entry[0])
    kept = rounds[:options.rounds]
    return {name: [figures[name] for _, figures in kept] for name in contestants}, kept[-1][0]


def summary(values, foreign, unit, more_is_better=False):
    """Every contestant's median; the best peer; ratios of ours to it (and to the others)."""
    median = {name: statistics.median(figures) for name, figures in values.items()}
    peers = [name for name in values if name != 'ours']
    row = {'unit': unit, 'ours': median['ours'], 'all': median, 'rounds': len(values['ours']), 'values': values,
           'foreign_cores': round(foreign, 3), 'loaded': foreign >= FOREIGN}
    if not peers:
        return row

    def ratio(name):
        pairs = zip(values['ours'], values[name])
        return statistics.median(ours / other if more_is_better else other / ours for ours, other in pairs)

    best = (max if more_is_better else min)(peers, key=median.get)
    row.update(peer=median[best], peer_name=best, ratio=ratio(best), ratios={name: ratio(name) for name in peers})
    return row


# ---- rows ----

class Bench:
    def __init__(self, options):
        self.options, self.python = options, find_python()
        self.worker = os.path.join(options.build, 'bench_train')
        self.result = {}

    def ours(self, *arguments):
        return Worker([self.worker, *map(str, arguments)])

    def peer(self, *arguments):
        return Worker([self.python, os.path.join(HERE, 'peer_torch.py'), *map(str, arguments)])

    def ours_models(self, *arguments):
        return Worker([os.path.join(self.options.build, 'bench_models'), *map(str, arguments)])

    def peer_models_command(self, *arguments):
        return [self.python, os.path.join(HERE, 'peer_models.py'), *map(str, arguments)]

    def peer_models(self, *arguments):
        return Worker(self.peer_models_command(*arguments))

    def cnn_settings(self, mode, precision):
        """Settings of the peer; the default one is measured beside both precisions."""
        dtype = 'bf16' if precision == 'auto' else 'f32'
        adamw = 'fused' if mode == 'step' else 'default'
        settings = [('f32', 'contiguous', 'default')]
        settings += [(dtype, layout, adamw) for layout in ('contiguous', 'channels_last')]
        return list(dict.fromkeys(settings))

    def cnn(self, mode):
        threads = self.options.threads
        peer = self.peer('cnn', mode, threads) if self.python else None
        for precision in self.options.precision.split(','):
            ours = self.ours('cnn', precision, mode, threads)
            contestants = {'ours': lambda: ours.ask('run')['seconds']}
            for setting in self.cnn_settings(mode, precision) if peer else ():
                contestants[' '.join(setting)] = lambda s=setting: peer.ask(' '.join(('run', *s)))['seconds']
            for run in contestants.values():  # primitives are created, pages come
                run()
            pids = [w.process.pid for w in (ours, peer) if w]
            values, foreign = measure(contestants, self.options, pids)
            ours.close()
            row = summary(values, foreign, 's')
            if peer:
                row['against_default'] = row['ratios']['f32 contiguous default']
            self.add('cnn_%s_%s' % (mode, precision), 'article CNN, batch 32, one %s, %s' % (mode, precision), row)
        if peer:
            peer.close()

    def cnn_step(self):
        self.cnn('step')

    def cnn_forward(self):
        self.cnn('forward')

    def memory(self):
        """Peak of a process that does two steps; nothing is timed, so nothing is waited for."""
        for precision in self.options.precision.split(','):
            worker = self.ours('cnn', precision, 'step', self.options.threads)
            for _ in range(2):
                worker.ask('run')
            values = {'ours': [worker.close() / 1e6]}
            for setting in self.cnn_settings('step', precision) if self.python else ():
                worker = self.peer('cnn', 'step', self.options.threads)
                for _ in range(2):
                    worker.ask(' '.join(('run', *setting)))
                values[' '.join(setting)] = [worker.close() / 1e6]
            self.add('memory_' + precision, 'article CNN, batch 32, step: peak memory, ' + precision, summary(values, 0, 'MB'))

    def vqa_workers(self, epochs, layouts=('contiguous', 'channels_last')):
        folder = os.path.join(self.options.data, 'easy_vqa')
        tables = [os.path.join(folder, name) for name in ('train.csv', 'test.csv')]
        if not all(map(os.path.exists, tables)):
            print('vqa: no %s, left out' % folder)
            return {}
        workers = {'ours ' + p: self.ours('vqa', p, self.options.threads, epochs, *tables) for p in self.options.precision.split(',')}
        for dtype, layout in (('f32', 'contiguous'), ('f32', 'channels_last'), ('bf16', 'channels_last')) if self.python else ():
            if layout not in layouts:
                continue
            workers[dtype + ' ' + layout] = self.peer('vqa', dtype, layout, self.options.threads, epochs, *tables)
        return workers

    def vqa(self):
        workers = self.vqa_workers(self.options.epochs)
        if not workers:
            return
        for worker in workers.values():
            worker.ask('steps 20')
        per_epoch = {}

        def steps(name):
            answer = workers[name].ask('steps %d' % self.options.steps)
            per_epoch[name] = answer['per_epoch']
            return answer['seconds'] / answer['steps'] * answer['per_epoch']

        pids = [w.process.pid for w in workers.values()]
        values, foreign = measure({name: lambda n=name: steps(n) for name in workers}, self.options, pids)
        for worker in workers.values():
            worker.close()
        for precision in self.options.precision.split(','):
            mine = {'ours': values['ours ' + precision], **{n: v for n, v in values.items() if not n.startswith('ours')}}
            row = summary(mine, foreign, 's')
            row['extrapolated'] = 'from %d steps a round to %d' % (self.options.steps, next(iter(per_epoch.values())))
            self.add('vqa_epoch_' + precision, 'easy_vqa, seconds per epoch (from %d steps a round), %s' % (self.options.steps, precision), row)

    def vqa_full(self):
        """Whole epochs, and learning time until 99 % of the test split are right."""
        workers = self.vqa_workers(self.options.epochs, ('channels_last',))  # the better one, as the row of steps shows
        epochs, reached, spent = {name: [] for name in workers}, {}, dict.fromkeys(workers, 0.0)
        scores, foreign = {name: [] for name in workers}, 0
        idle = Idle(self.options.wait)
        for _ in range(self.options.epochs):
            for name, worker in workers.items():
                if len(reached) == len(workers):
                    continue
                idle.wait()
                watch = Watch([w.process.pid for w in workers.values()])
                answer = worker.ask('epoch')
                foreign = max(foreign, watch.foreign())
                spent[name] += answer['seconds']
                epochs[name].append(answer['seconds'])
                scores[name].append(answer['accuracy'])
                if answer['accuracy'] >= 0.99:
                    reached.setdefault(name, [spent[name]])
        for worker in workers.values():
            worker.close()
        for precision in self.options.precision.split(',') if workers else ():
            name = 'ours ' + precision
            peers = [n for n in workers if not n.startswith('ours')]
            row = summary({'ours': epochs[name], **{n: epochs[n] for n in peers}}, foreign, 's')
            row['accuracy'] = {'ours': scores[name], **{n: scores[n] for n in peers}}
            self.add('vqa_epoch_full_' + precision, 'easy_vqa, seconds per whole epoch, ' + precision, row)
            if name in reached:
                times = {'ours': reached[name], **{n: reached[n] for n in peers if n in reached}}
                self.add('vqa_99_' + precision, 'easy_vqa, seconds of learning to 99 %% on the test split, %s' % precision, summary(times, foreign, 's'))
            else:
                print('easy_vqa, %s: 99 %% not reached in %d epochs' % (precision, self.options.epochs))

    def images(self):
        with tempfile.TemporaryDirectory() as folder:
            files = self.pictures(folder)
            if not files:
                print('images: no JPEG files in --data, and no Pillow to make some; left out')
                return
            for threads in sorted({1, self.options.threads}):
                arguments = ['images', threads, 224, max(1, 1000 // len(files)), *files]
                workers = {'ours': self.ours(*arguments)}
                if self.python:
                    workers['Pillow and numpy'] = self.peer(*arguments)
                means = [worker.ask('run')['mean'] for worker in workers.values()]
                if max(means) - min(means) > 1e-5:
                    sys.exit('images: the numbers differ: %s' % means)

                def rate(worker):
                    answer = worker.ask('run')
                    return answer['images'] / answer['seconds']

                pids = [w.process.pid for w in workers.values()]
                values, foreign = measure({n: lambda w=w: rate(w) for n, w in workers.items()}, self.options, pids)
                for worker in workers.values():
                    worker.close()
                text = 'JPEG decoded, resized to 224, normalised, %d thread%s' % (threads, 's' * (threads > 1))
                self.add('images_%d' % threads, text, summary(values, foreign, 'images/s', True))

    def pictures(self, folder):
        place = os.path.join(self.options.data, 'coco_open', 'images')
        if os.path.isdir(place):
            return sorted(os.path.join(place, name) for name in os.listdir(place) if name.endswith('.jpg'))
        if not self.python:
            return []
        code = ('import sys, numpy as np; from PIL import Image; r = np.random.default_rng(1)\n'
                'for i in range(100):\n'
                '    small = Image.fromarray(r.integers(0, 256, (24, 32, 3), np.uint8))\n'
                '    small.resize((640, 480), Image.Resampling.BICUBIC).save(f"{sys.argv[1]}/{i}.jpg", quality=90)')
        subprocess.run([self.python, '-c', code, folder], check=True)
        return sorted(os.path.join(folder, name) for name in os.listdir(folder))

    def start(self):
        train = os.path.join(self.options.data, 'easy_vqa', 'train.csv')
        if not os.path.exists(train):
            print('start: no %s, left out' % train)
            return
        with open(train, newline='', encoding='utf-8') as file:
            first = next(csv.DictReader(file))
        picture, question = os.path.join(os.path.dirname(train), first['image']), first['text']
        with tempfile.TemporaryDirectory() as folder:
            model, command = os.path.join(folder, 'model'), os.path.join(self.options.build, 'sensorium')
            subprocess.run([self.worker, 'model', str(self.options.threads), train, model], check=True)
            commands = {'ours': [*([command] if os.path.exists(command) else [self.worker]), 'predict', model,
                                 'image=' + picture, 'text=' + question]}
            if self.python:
                script, saved = os.path.join(HERE, 'peer_torch.py'), os.path.join(folder, 'model.pt')
                subprocess.run([self.python, script, 'model', train, saved], check=True)
                commands['PyTorch'] = [self.python, script, 'predict', saved, picture, question]

            def run(arguments):
                begin = time.perf_counter()
                subprocess.run(arguments, stdout=subprocess.DEVNULL, check=True)
                return time.perf_counter() - begin

            for arguments in commands.values():
                run(arguments)
            values, foreign = measure({n: lambda a=a: run(a) for n, a in commands.items()}, self.options, [])
        self.add('start', 'start of the command to a first prediction, and its end', summary(values, foreign, 's'))

    # ---- the result ----

    def add(self, name, title, row):
        row = {'title': title, 'measured': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()), **row}
        self.result[name] = row
        print_row(row)
        try:
            with open(self.options.json, encoding='utf-8') as file:
                whole = json.load(file)
        except (OSError, ValueError):
            whole = {'schema': 1, 'rows': {}}
        whole.update(threads=self.options.threads, processor=processor(), system=platform.platform())
        whole['rows'][name] = row
        with open(self.options.json + '.new', 'w', encoding='utf-8') as file:
            json.dump(whole, file, indent=1)
        os.replace(self.options.json + '.new', self.options.json)


def processor():
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        return next((line.partition(':')[2].strip() for line in file if line.startswith('model name')), platform.machine())


def show(value, unit):
    digits = 0 if unit in ('MB', 'images/s') else 1 if value >= 20 else 3
    return '%.*f %s' % (digits, value, unit)


def print_row(row):
    mark = '  LOADED: others used %.2f cores' % row['foreign_cores'] if row['loaded'] else ''
    print('%-66s %14s' % (row['title'], show(row['ours'], row['unit'])), end='')
    if 'peer' in row:
        print(' %14s %6.2fx  (%s)%s' % (show(row['peer'], row['unit']), row['ratio'], row['peer_name'], mark))
        for name, ratio in row['ratios'].items():
            if name != row['peer_name']:
                print('%-66s %14s %14s %6.2fx  (%s)' % ('', '', show(row['all'][name], row['unit']), ratio, name))
    else:
        print(mark)
    sys.stdout.flush()


def find_python():
    python = os.environ.get('SN_BENCH_PYTHON') or 'python3'
    code = 'import torch, PIL, numpy; print(torch.__version__, PIL.__version__, numpy.__version__)'
    try:
        found = subprocess.run([python, '-c', code], capture_output=True, text=True)
        error = found.stderr.strip().splitlines()[-1:] if found.returncode else None
    except OSError as problem:
        found, error = None, [str(problem)]
    if error is None:
        print('peer: torch %s, Pillow %s, numpy %s' % tuple(found.stdout.split()))
        return python
    print('no peer (%s); ours is measured alone. For one, in a virtual environment whose python is SN_BENCH_PYTHON:\n'
          '  pip install torch==2.13.0 numpy pillow' % (error[0] if error else python))
    return None


ROWS = {'cnn_step': Bench.cnn_step, 'cnn_forward': Bench.cnn_forward, 'vqa': Bench.vqa, 'images': Bench.images,
        'start': Bench.start, 'memory': Bench.memory, **{name: (lambda b, n=name: models.row(b, n, measure, summary)) for name in models.ROWS},
        'caption_start': lambda b: models.caption_start(b, measure, summary),
        **{name: (lambda b, n=name: tokenizing.row(b, n, Worker, measure, summary)) for name in tokenizing.ROWS}}


def main():
    parser = argparse.ArgumentParser(description='ours and the peer, alternately')
    parser.add_argument('build')
    parser.add_argument('--rows', default=','.join(ROWS), help='of ' + ', '.join(ROWS))
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument('--wait', type=float, default=120, help='seconds for an idle machine, for each row')
    parser.add_argument('--full', action='store_true', help='easy_vqa in whole epochs, to 99 %% on the test split')
    parser.add_argument('--steps', type=int, default=60, help='of easy_vqa, a round')
    parser.add_argument('--epochs', type=int, default=6, help='of the easy_vqa recipe')
    parser.add_argument('--data', default=os.path.join(ROOT, '..', 'shared', 'data'))
    parser.add_argument('--precision', default='f32,auto', help='of ours')
    parser.add_argument('--models', default=os.path.join(ROOT, '..', 'models'), help='made by tools/full_models.py')
    peer_processes.options(parser)
    parser.add_argument('--json')
    options = parser.parse_args()
    options.json = options.json or os.path.join(options.build, 'bench.json')
    unknown = set(options.rows.split(',')) - set(ROWS)
    if unknown:
        parser.error('unknown rows: ' + ', '.join(sorted(unknown)))
    bench = Bench(options)
    for name in options.rows.split(','):
        if name == 'vqa' and options.full:
            bench.vqa_full()
        else:
            ROWS[name](bench)
    if bench.result:
        print('written to ' + options.json)


if __name__ == '__main__':
    main()
