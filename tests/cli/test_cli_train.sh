# The main path: learn, score, use; then everything that can go wrong on it.
. ./lib.sh
cd "$work" || exit 1
make_table train.csv 60
make_table test.csv 12
flags="--inputs image,text --threads 1 --precision f32 --seed 3 --batch-size 8 $small"

# ---- learn, score, use
code 0 train train.csv --target label $flags --epochs 6 -o model --quiet
says "all inputs"
says "without image"
says "Use it:"
eval "$(sed -n '/^Use it:/{n;p}' out)" >used 2>&1 || fail "the predict command that train printed"
must grep -q '^label: ' used
code 0 evaluate model test.csv --subsets
says "accuracy"
says "image + text"
code 0 evaluate model test.csv -v
says "precision"
code 0 evaluate model test.csv --json
must grep -q '^{"schema":1,.*"targets":{"label":{.*"accuracy":1[.,}]' out
must test "$(wc -l <out)" = 1

code 0 predict model test.csv -o answers.csv
must test "$(head -1 answers.csv)" = "image,text,price,label,size,label_predicted,label_probability"
must test "$(wc -l <answers.csv)" = 13
must grep -q '^red1.png,"a .* one, 第 [0-9]*",[0-9.]*,red,[a-z]*,red,[01]' answers.csv
code 2 predict model test.csv -o answers.csv
says "answers.csv exists"
code 0 predict model test.csv -o answers.csv --overwrite
code 0 predict model test.csv --json
must test "$(grep -c '^{"schema":1,"row":[0-9]*,"line":[0-9]*,"targets":{"label":{"value":"[a-z]*","probability":' out)" = 12
code 0 predict model test.csv --limit 2
says "label_predicted"
code 0 predict model image=blue1.png
says "label: blue"
code 0 predict model "text=something that was never seen" image=green2.png --json --top 2
says '"value":"green"'
code 0 info model
says "image"
code 0 info model --json
must grep -q '^{"schema":1,.*"targets":\[{"name":"label"' out
code 0 verify model
says "the same numbers"
code 0 features model test.csv -o features.safetensors
must test "$(od -An -tu8 -N8 features.safetensors)" -lt "$(stat -c %s features.safetensors)"
code 2 features model test.csv -o features.safetensors
code 0 bench model test.csv
says rows_per_second
code 0 bench train.csv --target label ${flags% $small}
says rows_per_second

# ---- rows that fail: the others go on
printf 'image,text\nred1.png,a\nnothing.png,b\nblue1.png,c\n' >some.csv
code 1 predict model some.csv -o some_out.csv
says "row 2"
says "nothing.png"
must test "$(sed -n 3p some_out.csv)" = "nothing.png,b,,"
must test "$(wc -l <some_out.csv)" = 4
code 1 predict model some.csv --json
must test "$(grep -c '"error":{' out)" = 1
must test "$(grep -c '"targets":{' out)" = 2

# ---- configs, targets, events
printf 'targets: [label]\ninput_features:\n  - {name: image, type: image}\n  - {name: text, type: text, encoder: {type: bag}}\ntrainer: {epochs: 9}\n' >config.yaml
[ -z "$small" ] || sed '/trainer/d' "$here/small.yaml" >>config.yaml
code 0 train train.csv --config config.yaml --epochs 2 --threads 1 -o from_config --json
must test "$(grep -c '"event":"epoch"' out)" = 2
must test "$(grep -c '"event":"start"' out)" = 1
must test "$(grep -c '"event":"end"' out)" = 1
hushed '"event":"progress"'
code 0 train train.csv --target label,size $flags --epochs 2 -o two -q
code 0 predict two test.csv -o two.csv
must test "$(head -1 two.csv)" = "image,text,price,label,size,label_predicted,label_probability,size_predicted,size_probability"
code 0 train train.csv --target price --inputs text --epochs 1 --threads 1 -o number -q
code 0 evaluate number test.csv
says rmse
printf 'targets: [label]\nepochz: 3\n' >wrong.yaml
code 2 train train.csv --config wrong.yaml -o wrong
says epochz
printf 'targets: [label\n' >broken.yaml
code 1 train train.csv --config broken.yaml -o wrong
says broken.yaml

# ---- wrong usage of data and models
code 2 train train.csv --target nothing -o wrong
says '"nothing"'
code 2 train train.csv --target label --inputs image,colour -o wrong
code 2 train train.csv --target label -o model
says "model exists"
{ cat train.csv; echo 'nothing.png,x,1,red,big'; } >broken.csv
code 1 train broken.csv --target label $flags -o wrong
says nothing.png
says "row 61"
code 0 train broken.csv --target label $flags --epochs 1 --skip-broken -o skipped
says "1 rows with broken cells"
printf 'text,label\n%s' "$(for i in $(seq 20); do echo "word $i,same"; done)" >one_class.csv
code 1 train one_class.csv --target label --task label=category -o wrong
says label
code 1 evaluate nothing test.csv
says nothing
code 1 evaluate train.csv test.csv
printf 'image,text\nred1.png,x\n' >unlabelled.csv
"$sensorium" evaluate model unlabelled.csv >out 2>&1 && fail "scoring without the target column"
must test ! -e wrong
must test -z "$(ls -d ./*.part-* ./*.tmp 2>/dev/null)"

# ---- a model that is cut short or tampered with
cp -r model cut
head -c 1000 model/model.safetensors >cut/model.safetensors
code 1 predict cut image=red1.png
says model.safetensors
printf '\377\377\377\377\377\377\377\017{}' >cut/model.safetensors
code 1 predict cut image=red1.png
says model.safetensors
echo '{' >cut/config.json
code 1 info cut
says config.json

# ---- stopping and going on: as if it had never been stopped
code 0 train train.csv --target label $flags --epochs $long -o whole -q
"$sensorium" train train.csv --target label $flags --epochs $long -o stopped >out 2>err &
pid=$!
for i in $(seq 1000); do grep -q '^epoch   2' err && break; sleep 0.01; done
kill -INT $pid
wait $pid
got=$?
last=interrupt
if [ $got = 130 ]; then
    says "--resume"
    must test -e stopped/config.json # the best so far can be used at once
    code 2 train train.csv --target label $flags --epochs $long -o stopped
    says "--resume"
    code 2 train train.csv --target label $flags --epochs 41 -o stopped --resume
    code 0 train train.csv --target label $flags --epochs $long -o stopped --resume -q
    must cmp whole/model.safetensors stopped/model.safetensors
else
    fail "Ctrl-C does not exit with 130: $(cat err)"
fi

# ---- a full disk leaves nothing half-written
if [ "$(id -u)" = 0 ] && mkdir full && mount -t tmpfs -o size=64k tmpfs full 2>/dev/null; then
    code 1 train train.csv --target label $flags --epochs 1 -o full/model -q
    must test ! -e full/model
    cat /dev/zero >full/ballast 2>/dev/null
    code 1 predict model train.csv -o full/answers.csv
    must test ! -e full/answers.csv
    code 1 features model train.csv -o full/f.safetensors
    must test ! -e full/f.safetensors
    umount full
fi

# ---- the examples in C
build=$(dirname "$sensorium")
if [ -x "$build/example_train" ]; then
    must "$build/example_train" train.csv label c_model >c_out
    must grep -q '^epoch 3 is done' c_out
    must "$build/example_predict" model label image=red2.png "text=a big one" >c_out
    must grep -q '^red [01]\.[0-9]*$' c_out
    "$build/example_predict" nothing label image=red2.png 2>c_out && fail "an example with no model"
    must grep -q nothing c_out
fi
finish
