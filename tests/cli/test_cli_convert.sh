# convert: PyTorch's checkpoints become safetensors, in a directory that is whole or not there.
. ./lib.sh
golden=$here/../golden/torch
seeds=$here/../../fuzz/corpus/torch_file
cd "$work" || exit 1

mkdir in
cp "$golden/model.bin" in/pytorch_model.bin
echo '{"model_type": "tiny", "torch_dtype": "float32", "eps": 1e-12}' >in/config.json
echo '{"version": "1.0"}' >in/tokenizer.json
echo 'a b' >in/merges.txt
echo 'weights of another program' >in/rust_model.ot
mkdir in/old.json

exact convert_directory 0 convert in -o made
must cmp in/config.json made/config.json
must cmp in/tokenizer.json made/tokenizer.json
must cmp in/merges.txt made/merges.txt
must test "$(ls made | tr '\n' ' ')" = "config.json merges.txt model.safetensors tokenizer.json "
must grep -aq '"__metadata__":{"format":"pt"}' made/model.safetensors
must grep -aq '"0.weight":{"dtype":"F32","shape":\[5,3\]' made/model.safetensors
must grep -aq '"1.num_batches_tracked":{"dtype":"I64","shape":\[\]' made/model.safetensors

# What was converted converts to itself, and both layouts of PyTorch give the same file.
code 0 convert made -o again -q
must cmp made/model.safetensors again/model.safetensors
code 0 convert "$golden/legacy_model.bin" -o legacy -q
must cmp made/model.safetensors legacy/model.safetensors
must test "$(ls legacy)" = model.safetensors

exact convert_json 0 convert in -o half --dtype bf16 --json
must grep -q '"torch_dtype": "bfloat16"' half/config.json
must grep -aq '"0.weight":{"dtype":"BF16","shape":\[5,3\]' half/model.safetensors
must grep -aq '"1.num_batches_tracked":{"dtype":"I64"' half/model.safetensors

# Exit codes and messages of what cannot be done; nothing is left behind.
exact convert_exists 2 convert in -o made
code 0 convert in -o made --overwrite
cp "$seeds/evil" evil.bin
exact convert_foreign 1 convert evil.bin -o evil
exact convert_missing 1 convert no/such/thing -o evil
exact convert_not_weights 1 convert in/merges.txt -o evil
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n' >pointer.bin
exact convert_pointer 1 convert pointer.bin -o evil
HF_HUB_CACHE=cache exact convert_hub 1 convert org/name -o evil
mkdir -p cache/models--org--name/refs cache/models--org--name/snapshots
printf abc >cache/models--org--name/refs/main
cp -r in cache/models--org--name/snapshots/abc
HF_HUB_CACHE=cache code 0 convert org/name -o hub -q
must cmp made/model.safetensors hub/model.safetensors
mkdir taken && touch taken/precious
code 2 convert in -o taken --overwrite
must test -e taken/precious
must test -z "$(ls -d ./*.tmp ./evil 2>/dev/null)"
finish
