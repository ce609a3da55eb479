# Published models that write learn from a table, are scored, asked, stopped and resumed.
. ./lib.sh
models=$here/../golden/pipelines
cd "$work" || exit 1
cp "$models"/p?.png .
{
    echo photo,question,said
    for i in 1 2 3 4; do
        echo 'p1.png,is it big,a red square'
        echo 'p2.png,what colour is it,the blue circle'
        echo 'p3.png,one or two,a green triangle'
    done
} >rows.csv
flags="--target said --inputs photo --threads 1 --precision f32 --batch-size 4 --tune-rate 1"

code 0 train rows.csv $flags --model "$models/captioner" --epochs 60 --learning-rate 0.01 -o taught
says "the vision-encoder-decoder model in"
says "caption taught p1.png"
must test -f taught/encoders/writer/tokenizer.json
must test -f taught/encoders/writer/generation_config.json
code 0 caption taught p1.png p2.png p3.png --max-length 24
says "a red square"
says "the blue circle"
says "a green triangle"
code 0 caption taught/encoders/writer p2.png --max-length 24
says "the blue circle"
code 0 evaluate taught rows.csv
says "perplexity"
code 0 verify taught
says "the same numbers"
code 0 info taught
code 1 predict taught photo=p1.png
says "this model writes texts"

# ---- the other families, and adapters
code 0 train rows.csv $flags --inputs photo,question --model "$models/blip_asker" --tune lora --epochs 2 -o asked --quiet
must test -f asked/encoders/writer/adapter_model.safetensors
code 0 ask asked p1.png "is it big"
code 0 train rows.csv --target said --threads 1 --model "$models/gpt2" --max-length 40 --epochs 2 -o said --quiet
must grep -q '"max_length": 40' said/config.json
code 0 generate said "a red" --max-new-tokens 4

# ---- killed and resumed: the same bytes
code 0 train rows.csv $flags --model "$models/captioner" --epochs 4 -o whole --quiet
cat >slow.yaml <<END
trainer: {checkpoint_seconds: 0}
END
"$SENSORIUM" train rows.csv --config slow.yaml $flags --model "$models/captioner" --epochs 4 -o parts --quiet >/dev/null 2>&1 &
pid=$!
while kill -0 $pid 2>/dev/null && test ! -e parts.training/trainer.json; do sleep 0.02; done
{ kill -KILL $pid && wait $pid; } >/dev/null 2>&1
test -e parts || code 0 train rows.csv --resume -o parts --quiet
must cmp whole/encoders/writer/model.safetensors parts/encoders/writer/model.safetensors

# ---- what cannot be
code 2 train rows.csv $flags --model "$models/captioner" --inputs photo,question -o no
says "reads 1 column besides what it writes, not 2"
code 2 train rows.csv $flags --model "$models/captioner" --image-encoder cnn -o no
says '"image_encoder" cannot stand beside it'
code 2 train rows.csv $flags --model "$models/vit" -o no
says "does not write texts"
code 2 train rows.csv --target photo --model "$models/captioner" -o no
says "a model that writes needs a text"
must test ! -e no
finish
