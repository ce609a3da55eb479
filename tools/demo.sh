#!/bin/sh
# demo.sh BUILD: learns to answer questions about pictures, from nothing, and shows the result.
#
# The data is easy-VQA (Victor Zhou, MIT licence), 5,000 pictures of one coloured shape and 48,248 questions
# with 13 answers, in its official split. It comes as a Python package, which is fetched with pip, checked by
# SHA-256 and only unpacked: nothing of it is run.
set -e
cd "$(dirname "$0")/.."
build=$1
sensorium=$build/sensorium
demo=$build/demo
wheel=easy_vqa-1.0-py3-none-any.whl
mkdir -p "$demo"

say() { printf '\n== %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

fetch() {
    say "Fetching the pictures and questions (3 MB)"
    python3 -m pip download -qq --disable-pip-version-check --no-deps --only-binary :all: -d "$demo" easy-vqa==1.0
    (cd "$demo" && sha256sum -c) <<SUM
fcb51b309b78c7b00f97b64cdbcbcf5c105f94da1b39c0796cee5a787c4f650f  $wheel
SUM
    rm -rf "$demo/unpacked" "$demo/pictures"
    python3 -m zipfile -e "$demo/$wheel" "$demo/unpacked"
    mv "$demo/unpacked/easy_vqa/data" "$demo/pictures"
    rm -rf "$demo/unpacked"
}

# questions.json is [[question, answer, picture number], ...]; the tables have one row for each.
tables() {
    (cd "$demo" && python3 - <<'CODE'
import csv, json
def write(name, rows):
    with open(name, 'w', newline='', encoding='utf-8') as file:
        csv.writer(file, lineterminator='\n').writerows([('image', 'text', 'label'), *rows])
for part in 'train', 'test':
    with open(f'pictures/{part}/questions.json', encoding='utf-8') as file:
        rows = [(f'pictures/{part}/images/{number}.png', question, answer) for question, answer, number in json.load(file)]
    write(f'{part}.csv', rows)
shapes, closed = ('circle', 'rectangle', 'triangle'), ('yes', 'no')
picture = [row for row in rows if row[0] == rows[0][0]]
asks = (lambda answer: answer in shapes, lambda answer: answer not in shapes + closed, lambda answer: answer in closed)
write('three.csv', [next(row for row in picture if ask(row[2])) for ask in asks])
CODE
    )
}

[ -f "$demo/test.csv" ] && [ -f "$demo/three.csv" ] && [ -d "$demo/pictures" ] || { fetch; tables; }

say "Learning: a picture and a question give one of 13 answers"
run "$sensorium" train "$demo/train.csv" --target label -o "$demo/model" --overwrite

say "Scoring on 1,000 pictures that it has never seen, with both inputs and with each one alone"
run "$sensorium" evaluate "$demo/model" "$demo/test.csv" --subsets

say "Three questions about one of them ('label' is the right answer)"
run "$sensorium" predict "$demo/model" "$demo/three.csv"

picture=$(sed -n '2s/,.*//p' "$demo/three.csv")
cat <<NEXT

== What to try next
Ask something else about the same picture:
  $sensorium predict $demo/model image=$demo/$picture text="is there a circle in the image?"
Leave the question out, or the picture:
  $sensorium predict $demo/model image=$demo/$picture
See what is in a table of your own, learn one of its columns, use it:
  $sensorium inspect   mydata.csv
  $sensorium train     mydata.csv --target COLUMN -o mymodel
  $sensorium predict   mymodel newdata.csv -o answers.csv
All commands: $sensorium help
NEXT
