# Published models whose files are broken, through the commands that open them: exit 1, and a message that names the file
# and the tensor, key or global; nothing that a checkpoint says is run.
. ./lib.sh
golden=$here/../golden/pipelines
seeds=$here/../../fuzz/corpus/torch_file
cd "$work" || exit 1
weights=$golden/sentences/model.safetensors

fresh() { # a good model in m
    rm -rf m
    cp -r "$golden/sentences" m
}
refused() { # refused TEXT...: by every command that opens m
    local command text
    for command in "info m" "embed m a" "embed m a -o bad.npy" "convert m -o bad" "train t.csv --target label --type text=text --text-encoder m -o bad"; do
        case $command in convert*) [ "$converts" = no ] || continue ;; esac
        code 1 $command
        for text in "$@"; do says "$text"; done
        must test ! -e bad -a ! -e bad.npy
    done
}
swap() { # swap FROM TO: in the weights' header, of one length
    LC_ALL=C sed "s|$1|$2|" "$weights" >m/model.safetensors
    must test "$(stat -c %s m/model.safetensors)" = "$(stat -c %s "$weights")"
    ! cmp -s "$weights" m/model.safetensors || fail "not in the weights: $1"
}
key() { sed -i "s|\"$1\": [^,]*|\"$1\": $2|" m/config.json; }
{ echo text,label; for n in 1 2 3 4 5 6; do echo "a red square,a"; echo "blue $n,b"; done; } >t.csv

fresh
code 0 embed m a
code 0 train t.csv --target label --type text=text --text-encoder m -o good --epochs 1 --threads 1 -q

# ---- tensors: the file is whole, so convert takes it
converts=yes
swap '"embeddings.LayerNorm.bias":' '"embeddings.LayerNorm.bia5":'
refused "m/model.safetensors" 'tensor "embeddings.LayerNorm.bias" is missing: expected shape [16]'
swap '"shape":\[24,16\]' '"shape":[16,24]'
refused "m/model.safetensors" 'tensor "embeddings.position_embeddings.weight": expected shape [24, 16], found [16, 24]'
fresh
swap '"embeddings.LayerNorm.bias":{"dtype":"F32"' '"embeddings.LayerNorm.bias":{"dtype":"I32"'
refused 'tensor "embeddings.LayerNorm.bias": expected F32, F16, BF16 or F64, found I32'
fresh
key num_hidden_layers 1
refused "m/model.safetensors" 'tensor "encoder.layer.1.' "is not used by this model"
fresh
key num_hidden_layers 3
refused "m/model.safetensors" 'tensor "encoder.layer.2.' "is missing"

# ---- sizes that no model has: refused by name, at once
for name in num_hidden_layers hidden_size vocab_size intermediate_size max_position_embeddings; do
    fresh
    key $name 1000000000
    refused "m/config.json" "\"$name\": 1000000000 is out of range"
done

# ---- files: cut short, another's, empty; a pointer
converts=no
size=$(stat -c %s "$weights")
for bytes in 0 7 100 $((size - 1)); do
    fresh
    head -c "$bytes" "$weights" >m/model.safetensors
    refused "m/model.safetensors: "
done
fresh
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n' >m/model.safetensors
refused "m/model.safetensors: a Git LFS pointer"
fresh
rm m/model.safetensors
refused "m: holds no weights: neither model.safetensors, pytorch_model.bin"
for seed in evil legacy_evil; do
    cp "$seeds/$seed" m/pytorch_model.bin
    refused "m/pytorch_model.bin: " '"posix.system"'
done
for seed in cut_short legacy_cut no_pickle bomb short_storage; do
    cp "$seeds/$seed" m/pytorch_model.bin
    refused "m/pytorch_model.bin: "
done

# ---- shards
index() { # the names of all tensors -> an index that says they lie in one shard
    LC_ALL=C head -c 8000 "$weights" | LC_ALL=C grep -ao '"[A-Za-z0-9_.]*":{"dtype"' | LC_ALL=C sed 's|:{"dtype"|: "model-00001-of-00001.safetensors"|' |
        paste -sd, | sed 's|^|{"weight_map": {|; s|$|}}|' >m/model.safetensors.index.json
}
fresh
mv m/model.safetensors m/model-00001-of-00001.safetensors
index
code 0 embed m a
head -c $((size / 2)) "$weights" >m/model-00001-of-00001.safetensors
refused "m/model-00001-of-00001.safetensors: "
rm m/model-00001-of-00001.safetensors
refused "m/model-00001-of-00001.safetensors: cannot open"
cp "$weights" m/model-00001-of-00001.safetensors
sed -i 's|"embeddings.LayerNorm.bias"|"embeddings.LayerNorm.bia5"|' m/model.safetensors.index.json
refused "m/model.safetensors.index.json" 'tensor "embeddings.LayerNorm.bia5" is not in the shard'
index
sed -i 's|"model-00001-of-00001.safetensors"|"../sentences/model.safetensors"|' m/model.safetensors.index.json
refused "m/model.safetensors.index.json" "its shard is not a file name"

# ---- adapters
fresh
echo '{"peft_type": "LORA", "r": 2, "use_dora": true}' >m/adapter_config.json
cp "$weights" m/adapter_model.safetensors
converts=yes
refused 'm/adapter_config.json: "use_dora" is not supported'
echo '{"peft_type": "LORA", "r": 2}' >m/adapter_config.json
refused "m/adapter_model.safetensors" "belongs to no adapter"

# ---- tokenizer.json
fresh
echo '{"model": {"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": []}}' >m/tokenizer.json
refused "m/tokenizer.json" 'id 0 belongs to two tokens, "a" and "b"'
code 1 tokenize m a
says 'id 0 belongs to two tokens, "a" and "b"'
finish
