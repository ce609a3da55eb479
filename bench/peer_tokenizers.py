"""peer_tokenizers.py: the other sides of the rows of tokenizing.py, with the protocol of bench_tokenizer.c's row.

    peer_tokenizers.py tiktoken|tokenizers MODEL FILE

MODEL has vocab.json and merges.txt (byte-level BPE as GPT-2's) or vocab.txt (WordPiece as BERT's, lower case)."""
import json
import os
import sys
import time

os.environ.update(RAYON_NUM_THREADS='1', TIKTOKEN_CACHE_DIR='')

GPT2 = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""


def with_tiktoken(place, pieces):
    import tiktoken
    from tiktoken.load import data_gym_to_mergeable_bpe_ranks
    ranks = data_gym_to_mergeable_bpe_ranks(os.path.join(place, 'merges.txt'), os.path.join(place, 'vocab.json'))
    encoding = tiktoken.Encoding('gpt2', pat_str=GPT2, mergeable_ranks=ranks, special_tokens={'<|endoftext|>': 50256})
    return lambda: sum(len(encoding.encode_ordinary(text)) for text in pieces)


def with_tokenizers(place, pieces):
    from tokenizers.implementations import BertWordPieceTokenizer, ByteLevelBPETokenizer
    if os.path.exists(os.path.join(place, 'vocab.txt')):
        tokenizer = BertWordPieceTokenizer(os.path.join(place, 'vocab.txt'), lowercase=True)
    else:
        tokenizer = ByteLevelBPETokenizer(os.path.join(place, 'vocab.json'), os.path.join(place, 'merges.txt'))
    encode = tokenizer._tokenizer.encode_batch_fast  # without offsets, as ours
    return lambda: sum(len(encoding) for encoding in encode(pieces, add_special_tokens=False))


def main():
    kind, place, file = sys.argv[1:]
    with open(file, 'rb') as opened:
        data = opened.read()
    run = {'tiktoken': with_tiktoken, 'tokenizers': with_tokenizers}[kind](place, data.decode().split('\0'))
    print('{"ready":true}', flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        count = run()
        print(json.dumps({'seconds': time.perf_counter() - start, 'bytes': len(data), 'tokens': count}), flush=True)


main()
