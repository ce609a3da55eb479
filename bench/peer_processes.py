"""peer_processes.py: the peers that are programs of their own: the benches of llama.cpp and whisper.cpp.

Each is started anew for every round, in turns with ours, warms itself up, and says what it measured; what it loads is
not in it. Built from their own repositories, with the models that their own converters make of the same directories:

    --llama-bench FILE  --gguf DIRECTORY    gpt2-f32.gguf gpt2-f16.gguf gpt2-bf16.gguf
    --whisper-bench FILE  --ggml DIRECTORY  whisper-tiny-f16.bin whisper-tiny-f32.bin, the same of whisper-base
"""
import json
import os
import re
import statistics
import subprocess

REPETITIONS = 3  # of llama-bench in one round, after one that does not count; the median counts


def options(parser):
    parser.add_argument('--llama-bench', help="llama.cpp's program, to be measured beside GPT-2")
    parser.add_argument('--gguf', default='.', help='where its MODEL-DTYPE.gguf are')
    parser.add_argument('--whisper-bench', help="whisper.cpp's program, to be measured beside Whisper")
    parser.add_argument('--ggml', default='.', help='where its MODEL-DTYPE.bin are')


def output(command):
    done = subprocess.run(command, capture_output=True, text=True, errors='replace')
    if done.returncode:
        raise SystemExit('%s ended with %d: %s' % (' '.join(command), done.returncode, done.stderr.strip()[-500:]))
    return done


def llama(given, file, figures, prompt, new, _):
    """The same tokens as ours: a prompt, whose end gives the first token, and the steps that give the others."""
    command = [given.llama_bench, '-m', file, '-t', str(given.threads), '-r', str(REPETITIONS), '-o', 'json']
    asked = {'prompt': ['-p', prompt, '-n', '0'], 'decode': ['-p', '0', '-n', str(int(new) - 1), '-d', prompt]}

    def run():
        answer = {}
        for figure in figures:
            result, = json.loads(output(command + asked[figure]).stdout)
            answer[figure] = statistics.median(result['samples_ns']) * 1e-9
        return answer
    return run


def whisper(given, file, _, prompt, new, rows):
    """Its encoder's time has the keys and values for the decoder in it, as ours. Its mean step is one with 127 tokens
    before it; ours have from `prompt` to `prompt + new`."""
    del prompt, rows

    def run():
        text = output([given.whisper_bench, '-m', file, '-t', str(given.threads), '-w', '0']).stderr
        each = dict(re.findall(r'(encode|decode) time = *[\d.]+ ms / *\d+ runs \( *([\d.]+) ms per run\)', text))
        return {'encode': float(each['encode']) * 1e-3, 'decode': float(each['decode']) * 1e-3 * (int(new) - 1)}
    return run


#       name: (its program, where its models are, how they end, how it is run)
PEERS = {'llama.cpp': ('llama_bench', 'gguf', 'gguf', llama), 'whisper.cpp': ('whisper_bench', 'ggml', 'bin', whisper)}


def contestant(name, given, model, dtype, figures, arguments):
    """A function that measures one round; None, with a line that says why (once), where the peer is not there."""
    program, place, end, make = PEERS[name]
    file = os.path.join(getattr(given, place), '%s-%s.%s' % (model, dtype, end))
    missing = '--' + program.replace('_', '-') if not getattr(given, program) else None if os.path.exists(file) else file
    said = vars(given).setdefault('left_out', set())
    if missing and missing not in said:
        print('%s: no %s, left out' % (name, missing))
        said.add(missing)
    return None if missing else make(given, file, figures, *arguments)
