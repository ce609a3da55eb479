# The commands in the README run as they stand there, in their order, on a small table.
. ./lib.sh
cd "$work" || exit 1
mkdir photos
make_table photos/mydata.csv 45
sed -E '2,$s|^|photos/|' photos/mydata.csv >mydata.csv
cp mydata.csv other.csv
cp mydata.csv new.csv
cp photos/red1.png photos/3.jpg # a PNG by another name is read by its content
golden=$here/../golden # tiny models in the place of published ones
cp -r "$golden/pipelines/listener" whisper-base
cp -r "$golden/pipelines/captioner" vit-gpt2
cp -r "$golden/pipelines/blip_asker" blip-vqa
cp -r "$golden/pipelines/matcher" clip
cp -r "$golden/pipelines/sentences" all-MiniLM-L6-v2
cp -r "$golden/pipelines/gpt2" gpt2
cp -r "$golden/transfer/vgg" vgg16
cp "$golden/audio/voice.wav" talk.mp3
cp photos/red1.png photo.jpg
{
    echo photo,caption
    for i in 1 2 3 4; do echo "photos/red1.png,a red one $i"; done
    for i in 1 2 3 4; do echo "photo.jpg,it is blue $i"; done
} >photos.csv
{
    echo question,answer
    for i in $(seq 20); do echo "is it $i,yes it is $i"; done
} >faq.csv
sensorium() { "$SENSORIUM" "$@"; }

# Small tables learn for sixty epochs; that is not what is tested here.
sed -n 's/^    \(sensorium [a-z]* .*\)/\1/p' "$here/../../README.md" |
    sed 's/ *#.*//; s/\(sensorium train.*\)/\1 --epochs 2 --threads 1/' >commands
must test "$(wc -l <commands)" -ge 5
while read -r line; do
    eval "$line" >out 2>err </dev/null || { fail "$line"; cat out err; }
done <commands
must test -s answers.csv
finish
