# A run that is killed again and again, at any instant, and gone on with --resume ends in the same bytes.
. ./lib.sh
cd "$work" || exit 1
make_table train.csv 60
flags="--target label --threads 2 --seed 3 --epochs $((long * 5 / 8)) -q $small"
start=$(date +%s%N)
code 0 train train.csv $flags -o whole
took=$((($(date +%s%N) - start) / 1000000))

kills=0
resume=
for i in $(seq 10); do
    "$sensorium" train train.csv $flags -o killed $resume >out 2>err &
    pid=$!
    sleep "$(awk -v ms=$((took * (20 + RANDOM % 40) / 100)) 'BEGIN { print ms / 1000 }')"
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    got=$?
    case $got in
    137) kills=$((kills + 1)) ;;
    0) break ;;
    *) fail "exit $got of: $(cat err)" ;;
    esac
    if [ -e killed.training/trainer.json ]; then resume=--resume; elif [ -e killed ]; then break; else rm -rf killed.training; fi
done
must test $kills -gt 0
[ ! -e killed.training/trainer.json ] || code 0 train train.csv $flags -o killed --resume
must cmp whole/model.safetensors killed/model.safetensors
must cmp whole/goldens.safetensors killed/goldens.safetensors
must test ! -e killed.training/trainer.json # killed while clearing up, an empty folder may stay
must test ! -e whole.training
finish
