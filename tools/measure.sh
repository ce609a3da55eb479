#!/bin/sh
# measure.sh [-t] [-s SEEDS] [-d DATA] [NAME...]: learns the seven public data sets with no options but --target and
# --inputs, three seeds each, scores on their test.csv, and prints a Markdown table of mean and spread (the
# standard deviation over the seeds), in percent of right answers. For sets with several inputs, a model is also
# learned on each input alone (not with -t: all inputs together only).
#
#   tools/measure.sh                    all of them, one row when it is done
#   tools/measure.sh -s "1" fsdd leaf   one seed of two sets
#
# Models and logs stay in build/measure; a finished model is not learned again, so the script may be interrupted.
set -e
cd "$(dirname "$0")/.."
seeds="1 2 3"
data=../shared/data
alone_too=yes
while getopts ts:d: option; do
    case $option in
    s) seeds=$OPTARG ;;
    t) alone_too= ;;
    d) data=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
sensorium=${SENSORIUM:-build/sensorium}
work=build/measure
mkdir -p "$work"

# name, folder, target, inputs (comma list; "-": all other columns), what is learned alone ("-image": all but it)
sets="easy_vqa             easy_vqa            label -              image|text
av_digits            av_digits           label image,audio    image|audio
leaf                 leaf                label -              image|-image
fsdd                 fsdd                label audio          -
sentiment_sentences  sentiment_sentences label text           -
asterisk_prompts     asterisk_prompts    label audio,text     audio|text
emoji                emoji               label image,text_zh  image|text_zh"

# score NAME FOLDER TARGET INPUTS SEED: the accuracy on test.csv, in percent
score() {
    model=$work/$1.$5
    case $4 in
    -) inputs= ;;
    -*) inputs="--exclude ${4#-}" ;;
    *) inputs="--inputs $4" ;;
    esac
    [ -f "$model/config.json" ] || "$sensorium" train "$data/$2/train.csv" --target "$3" $inputs --seed "$5" -o "$model" \
        --overwrite --quiet >"$model.log" 2>&1 || { cat "$model.log" >&2; exit 1; }
    "$sensorium" evaluate "$model" "$data/$2/test.csv" --json >"$model.json"
    sed -n "s/.*\"targets\":{\"$3\":{[^{]*\"accuracy\":\([0-9.e-]*\).*/\1/p" "$model.json" | awk '{ printf "%.6f\n", 100 * $1 }'
}

# seeds_of NAME FOLDER TARGET INPUTS: "mean ± spread"
seeds_of() {
    for seed in $seeds; do score "$@" "$seed"; done |
        awk -v want="$(echo $seeds | wc -w)" '{ n++; s += $1; q += $1 * $1 }
             END { if (n != want) exit 1; m = s / n; v = n > 1 ? (q - n * m * m) / (n - 1) : 0; printf("%.2f ± %.2f", m, (v > 0 ? sqrt(v) : 0)) }'
}

echo "| data | inputs | right answers on test.csv, % | each input alone, % |"
echo "|---|---|---|---|"
echo "$sets" | while read -r name folder target inputs alone; do
    [ $# = 0 ] || case " $* " in *" $name "*) ;; *) continue ;; esac
    together=$(seeds_of "$name" "$folder" "$target" "$inputs")
    each=
    if [ "$alone" != - ] && [ "$alone_too" ]; then
        for input in $(echo "$alone" | tr '|' ' '); do
            shown=$input
            case $input in -*) shown="all but ${input#-}" ;; esac
            each="$each${each:+, }$shown $(seeds_of "$name.$(echo "$input" | sed "s|^-|no-|")" "$folder" "$target" "$input")"
        done
    fi
    shown=$inputs
    [ "$inputs" != - ] || shown="all columns"
    echo "| $name | $shown | $together | $each |"
done
