# Published models as encoders: frozen, tuned, adapted; from flags and from a config file; used afterwards like any model.
. ./lib.sh
models=$here/../golden/transfer
cd "$work" || exit 1
make_table train.csv 48
make_table test.csv 12
flags="--inputs image,text --threads 1 --precision f32 --batch-size 8"

code 0 train train.csv --target label $flags --text-encoder "$models/bert" --image-encoder "$models/vit" --epochs 5 -o frozen
says '"text": encoded by the bert model in'
says '"image": encoded by the vit model in'
must test -f frozen/encoders/text/tokenizer.json
must test -f frozen/encoders/image/preprocessor_config.json
must grep -q '"tensors"\|"type": "pretrained"' frozen/config.json
code 0 evaluate frozen test.csv --subsets
says "image + text"
code 0 predict frozen image=blue1.png
says "label: "
code 0 predict frozen test.csv --json
must test "$(grep -c '"targets":{"label":{"value":' out)" = 12
code 0 verify frozen
says "the same numbers"
code 0 features frozen test.csv -o features.safetensors
code 0 info frozen
says "pretrained"
code 0 embed frozen/encoders/text "a small red tower"

# ---- the same again, byte for byte
code 0 train train.csv --target label $flags --text-encoder "$models/bert" --image-encoder "$models/vit" --epochs 5 -o again --quiet
must cmp frozen/model.safetensors again/model.safetensors

# ---- tuned and adapted, one column each; then stopped and resumed
code 0 train train.csv --target label $flags --text-encoder "$models/gpt2" --image-encoder "$models/resnet" --text-tune lora \
    --lora-rank 2 --lora-alpha 4 --image-tune full --layer-decay 0.8 --unfreeze 1 --tune-rate 0.5 --epochs 3 -o tuned --quiet
must test -f tuned/encoders/text/adapter_model.safetensors
must test ! -f tuned/encoders/image/adapter_model.safetensors
must grep -q '"r": 2' tuned/encoders/text/adapter_config.json
must grep -q '"c_attn"' tuned/encoders/text/adapter_config.json
code 0 verify tuned
says "the same numbers"
code 0 predict tuned "text=red things"
code 0 train train.csv --target label $flags --text-encoder "$models/bert" --tune lora --lora-targets query,key,value --lora-merge --epochs 2 \
    -o merged --quiet
must test ! -f merged/encoders/text/adapter_config.json
code 0 verify merged

# ---- a config file says the same, per column
cat >own.yaml <<END
targets: [label]
inputs: [text, image]
input_features:
  - name: text
    preprocessing: {max_length: 8}
    encoder: {type: $models/clip, tune: full, tune_rate: 0.1, layer_decay: 0.5}
  - name: image
    encoder: {type: $models/vit, tune: frozen, pooling: mean}
threads: 1
precision: f32
epochs: 2
batch_size: 8
END
code 0 train train.csv --config own.yaml -o own --quiet
must grep -q '"max_length": 8' own/config.json
must grep -q '"layer_decay": 0.5' own/config.json
must test -f own/encoders/image/model.safetensors
code 0 verify own

# ---- the article's network: a pretrained VGG16, frozen unless it is said otherwise, and words through an LSTM
for names in vgg vgg_timm; do
    code 0 train train.csv --target label $flags --preset article-vgg-lstm --image-encoder "$models/$names" --epochs 12 -o article-$names
    says '"image": encoded by the vgg model in'
    hushed "read as a bag"
    must grep -q '"type": "lstm"' article-$names/config.json
    code 0 embed "$models/$names" blue1.png --precision f32
    cp "$work/out" published
    code 0 embed article-$names/encoders/image blue1.png --precision f32
    must cmp published "$work/out"
    code 0 predict article-$names image=blue1.png "text=a big one"
    says "label: "
    code 0 verify article-$names
done
code 0 train train.csv --target label $flags --preset article-vgg-lstm --encoder "image=$models/vgg" --image-tune full --text-encoder bag --epochs 1 -o learned --quiet
must grep -q '"type": "bag"' learned/config.json
must grep -q '"tune": "full"' learned/config.json
code 0 embed "$models/vgg" blue1.png --precision f32
cp "$work/out" published
code 0 embed learned/encoders/image blue1.png --precision f32
cmp -s published "$work/out" && fail "the VGG did not learn"
code 2 train train.csv --target label $flags --preset article-vgg-lstm -o no
says 'the preset "article-vgg-lstm" builds on a published VGG16, which "image_encoder" must name: --image-encoder DIR, such as'
code 2 train train.csv --target label --inputs text --preset article-vgg-lstm -o no
says 'no input is of kind image'
must test ! -e no

# ---- torchvision's file alone: it gets its config.json, and the processor of its weights
cp -r "$models/vgg" own_vgg
code 0 convert "$models/vgg/model.safetensors" -o torchvision
cp torchvision/preprocessor_config.json own_vgg/
code 0 embed own_vgg blue1.png --precision f32
cp "$work/out" published
code 0 embed torchvision blue1.png --precision f32
must cmp published "$work/out"

# ---- what cannot be
code 2 train train.csv --target label $flags --text-encoder "$models/vit" -o no
says "a model of type vit does not take texts"
code 2 train train.csv --target label --inputs image --text-encoder gru -o no
says '"text_encoder": no input is of kind text'
code 2 train train.csv --target label --inputs image,size --encoder size=gru -o no
says '"size" is of kind'
code 2 train train.csv --target label $flags --text-encoder lsmt -o no
says 'unknown text encoder "lsmt"'
code 1 train train.csv --target label $flags --text-encoder nobody/nothing -o no
says "hf download nobody/nothing"
code 2 train train.csv --target label $flags --text-encoder "$models/bert" --tune half -o no
code 2 train train.csv --target label $flags --text-encoder "$models/bert" --lora-rank 0 -o no
says '"lora_rank" must be'
must test ! -e no
rm -r frozen/encoders/image
code 1 predict frozen image=blue1.png
says "encoders/image"
finish
