# Broken input on every way in: the message names the file and the row or tensor, the exit code is 1 or 2, and nothing
# half-written is left. (inspect's reports are in test_cli_inspect.sh, whole.)
. ./lib.sh
cd "$work" || exit 1
make_table train.csv 30
code 0 train train.csv --target label --inputs image,text --epochs 1 --threads 1 $small -o model -q
wav() { # wav FRAMES CHARACTER: the bytes of a short sound
    printf 'RIFF\x24\x10\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\0\x10\0\0'
    yes "$2" | head -c $(($1 * 2))
}
clean() { must test -z "$(ls -d bad bad.* ./*.part-* ./*.tmp* 2>/dev/null)"; }

# ---- media: missing, empty, cut short, zero bytes, words, 100 megapixels
head -c 60 red1.png >cut.png
head -c 500 /dev/zero >zero.png
: >empty.png
echo "just some words" >text.jpg
cp "$here/data/huge.png" huge.png
{
    cat train.csv
    for name in nothing.png empty.png cut.png zero.png text.jpg huge.png; do echo "$name,x,1,red,big"; done
} >media.csv
code 1 inspect media.csv
says "6 broken cells"
for row in 31 32 33 34 35 36; do must grep -q "^ *$row  *$((row + 1))  image  *\./" out; done
code 1 train media.csv --target label --inputs image,text $small -o bad
says "media.csv: 6 broken cells; the first is row 31 (line 32), column \"image\": ./nothing.png: cannot open"
clean
code 0 train media.csv --target label --inputs image,text --epochs 1 --threads 1 --skip-broken $small -o skipped
says "6 rows with broken cells are left out"
code 1 evaluate model media.csv
says "row 31 (line 32)"
code 0 evaluate model media.csv --skip-broken
says "30 rows, 6 broken rows"
code 1 features model media.csv -o bad.safetensors
says "./nothing.png"
clean
code 1 predict model media.csv -o answers.csv
says "6 of 36 rows failed"
must test "$(wc -l <answers.csv)" = 37
must test "$(grep -c ',,$' answers.csv)" = 6
media_says() { # media_says FILE TEXT: as the one input
    code 1 predict model "image=$1"
    says "row 1, column image: ./$1: $2"
}
media_says nothing.png "cannot open: No such file or directory"
media_says empty.png "the file is empty (0 bytes)"
media_says cut.png "truncated"
media_says zero.png "not a picture"
media_says text.jpg 'not a picture: the content starts with "just some words'
media_says huge.png "too large: 10000 x 10000 pixels"

# ---- the same of sounds; the word "sound" in the message is not taken for the column's name
wav 2048 a >a.wav
wav 2048 5 >b.wav
wav 20 a >cut.wav
: >empty.wav
head -c 500 /dev/zero >zero.wav
printf 'sound,label\na.wav,a\nnothing.wav,b\ncut.wav,a\nempty.wav,b\nzero.wav,a\n' >sounds.csv
code 1 inspect sounds.csv
says "4 broken cells"
says "./nothing.wav: cannot open"
says "./cut.wav: WAV: cut short: 4096 bytes of sound expected, 40 found"
says "./empty.wav: empty"
says "./zero.wav: not a sound file"
code 1 train sounds.csv --target label -o bad
says "sounds.csv: 4 broken cells; the first is row 2 (line 3), column \"sound\""
clean
{ echo sound,label; for n in 1 2 3 4 5 6; do echo a.wav,a; echo b.wav,b; done; } >hear.csv
code 0 train hear.csv --target label --epochs 1 --threads 1 -o hear -q
code 1 predict hear sound=cut.wav
says "row 1, column sound: ./cut.wav"

# ---- tables
table_says() { # table_says NAME TEXT: to every command that reads one; no model, no file is left
    code 1 inspect "$1"
    says "$2"
    code 1 train "$1" --target label --skip-broken -o bad
    says "$2"
    code 1 evaluate model "$1"
    says "$2"
    code 1 predict model "$1" -o bad.csv
    says "$2"
    clean
}
printf 'image,label\nred1.png\nred1.png,a\nred1.png,a,b\n' >ragged.csv
table_says ragged.csv "ragged.csv: line 2 (row 1): expected 2 cells as in the header, found 1; the same in line 4"
printf 'image,label\nred1.png,a\nred1.png,\377\376\n' >utf8.csv
table_says utf8.csv "utf8.csv: line 3 is not UTF-8 (byte 0xff)"
printf 'image,label\nred1.png,"a\nred1.png,b\n' >quote.csv
table_says quote.csv "quote.csv: line 2: a quotation mark is opened here and never closed"
tail -n +2 train.csv >header.csv
table_says header.csv 'header.csv: the header seems to be missing: line 1 names the file "green2.png"'
: >empty.csv
table_says empty.csv "empty.csv: is empty"
printf 'image,label\n' >rows.csv
table_says rows.csv "rows.csv: has a header but no rows"
table_says nothing.csv "nothing.csv: cannot open"
{ echo image,label; for n in 1 2 3 4 5 6; do echo red1.png,same; done; } >class.csv
code 1 train class.csv --target label -o bad
says 'class.csv: column "label" has one class only ("same")'
code 2 train train.csv --target colour -o bad
says 'train.csv: no column "colour"; there are: image, text, price, label, size'
code 2 predict model colour=red
says 'no column "image"'
clean
printf '\357\273\277image,text,label\r\n' >bom.csv
for n in 1 2 3 4; do printf 'red1.png,"two\nlines, and ""words""",red\r\nblue1.png,one,blue\r\n' >>bom.csv; done
code 0 evaluate model bom.csv
says "8 rows"

# ---- weights
weights_say() { # weights_say HEADER BYTES TEXT
    printf "\\x$(printf %02x ${#1})\0\0\0\0\0\0\0%s" "$1" >broken/model.safetensors
    head -c "$2" /dev/zero >>broken/model.safetensors
    code 1 predict broken image=red1.png
    says "broken/model.safetensors: $3"
}
cp -r model broken
weights_say '{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"v":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}' 12 \
    'tensor "v" overlaps "w"'
weights_say '{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,1125899906842624]}}' 8 \
    'tensor "w": bytes 0 to 1125899906842624, but the file holds only 8 bytes of data'
weights_say '{"w":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,8]}}' 8 'tensor "w": shape [1099511627776] of F32 takes'
weights_say '{"w":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}}' 8 'tensor "w": unknown dtype "F33"'
weights_say '{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}' 8 'tensor "encoders.image.conv1.weight" is missing: expected shape'
sed 's/"dtype":"F32"/"dtype":"I32"/' model/model.safetensors >broken/model.safetensors
code 1 predict broken image=red1.png
says "broken/model.safetensors: tensor \"absent.image\": expected F32, "
says "found I32"
size=$(stat -c %s model/model.safetensors)
for bytes in 0 4 8 100 $((size - 1)); do
    head -c "$bytes" model/model.safetensors >broken/model.safetensors
    for command in predict evaluate features verify; do
        case $command in
        predict) code 1 predict broken train.csv -o bad.csv ;;
        evaluate) code 1 evaluate broken train.csv ;;
        features) code 1 features broken train.csv -o bad.safetensors ;;
        verify) code 1 verify broken ;;
        esac
        says "broken/model.safetensors: "
        clean
    done
done
printf '\0\0\0\0\0\0\0\020{}' >broken/model.safetensors # a header of 2^60 bytes
code 1 predict broken image=red1.png
says "broken/model.safetensors: a header of 1152921504606846976 bytes in a file of 10"

# ---- full disks: of 1 MB, where the first checkpoint or a later one does not fit; standard output
if [ "$(id -u)" = 0 ] && mkdir full && mount -t tmpfs -o size=1m tmpfs full 2>/dev/null; then
    head -c 1044480 /dev/zero >full/ballast
    code 1 train train.csv --target label --inputs image,text --threads 1 --epochs 1 $small -o full/model -q
    says "No space left on device"
    must test "$(ls full)" = ballast # not even the folder of checkpoints: the next run may begin
    cat /dev/zero >>full/ballast 2>/dev/null
    code 1 predict model train.csv -o full/answers.csv
    says "full/answers.csv: "
    code 1 features model train.csv -o full/f.safetensors
    says "full/f.safetensors: "
    must test "$(ls full)" = ballast
    umount full
fi
for command in "info model" "predict model train.csv" "predict model train.csv --json" "evaluate model train.csv" "inspect train.csv" help; do
    "$sensorium" $command >/dev/full 2>err && fail "exit 0 where standard output is full: $command"
    must grep -q "standard output: No space left on device" err
done
finish
