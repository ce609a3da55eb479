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

# ---- a prompt before the text: learned, scored, asked; it goes on from what was learned, and a separator comes by itself
{
    echo question,answer,other
    for i in 1 2 3 4 5 6; do
        echo 'what colour is it?,blue,1'
        echo 'is it big?,no,2'
        echo 'how many?,two of them,3'
    done
} >prompts.csv
prompted="--target answer --inputs question --model $models/gpt2 --threads 1 --precision f32 --batch-size 6 --tune-rate 1"
code 0 train prompts.csv $prompted --epochs 40 --learning-rate 0.01 -o answers --json
first=$(sed -n 's/.*"epoch":1,.*"train":{"loss":\([0-9.]*\).*/\1/p' "$work/out") last=$(sed -n 's/.*"epoch":40,.*"train":{"loss":\([0-9.]*\).*/\1/p' "$work/out")
must awk -v a="$first" -v b="$last" 'BEGIN { exit !(a > 4 && b > 0 && b < a / 4) }'
must grep -q '"prompt": true' answers/config.json
code 0 generate answers 'what colour is it?' 'is it big?' 'how many?' --max-new-tokens 16
must test "$(cat "$work/out")" = "$(printf 'blue\nno\ntwo of them')"
code 0 generate answers/encoders/writer 'is it big?' --max-new-tokens 16
must test "$(cat "$work/out")" = no
code 0 evaluate answers prompts.csv --json
must grep -q '"tokens":102,"rows":18' "$work/out"
code 0 verify answers
says "the same numbers"
code 0 info answers
says "question  text  part: writer"
cat >space.yaml <<END
output_features:
  - name: answer
    preprocessing: {separator: " "}
END
code 0 train prompts.csv $prompted --config space.yaml --epochs 40 --learning-rate 0.01 -o spaced --quiet
code 0 generate spaced 'is it big?' --max-new-tokens 16
must test "$(cat "$work/out")" = " no"
cut -d, -f2- prompts.csv >unasked.csv
code 2 evaluate answers unasked.csv
says 'no column "question"'
sed 's/"prompt": true/"prompt": true, "max_length": 3/' answers/config.json >changed.json
cp -r answers broken
cp changed.json broken/config.json
code 1 evaluate broken prompts.csv
says '"max_length"'
sed 's/"prompted": true/"prompted": false/' answers/config.json >broken/config.json
code 1 evaluate broken prompts.csv
says '"prompted"'
sed '/"prompt": true/d; s|"processor": "encoders/writer",|"processor": "encoders/writer", "max_length": 8,|' answers/config.json >broken/config.json
code 1 evaluate broken prompts.csv

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
code 2 train prompts.csv $prompted --inputs question,other -o no
says "reads one text column besides what it writes; there are several"
must test ! -e no
finish
