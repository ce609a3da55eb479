# Published models on the command line: tokens, vectors in every form, generated text, what the model is, and what is wrong.
. ./lib.sh
golden=$here/../golden/pipelines
cd "$work" || exit 1
cp -r "$golden"/sentences "$golden"/vit "$golden"/gpt2 "$golden"/captioner "$golden"/matcher "$golden"/blip_asker \
    "$golden"/vilt_asker "$golden"/visual_bert_asker "$golden"/listener "$golden"/p[123].png .

exact tokenize 0 tokenize sentences "a red square" "Größe"
exact tokenize_json 0 tokenize sentences --json --plain "a red"
exact tokenize_decode 0 tokenize sentences --decode 2,3
exact tokenize_not_an_id 2 tokenize sentences --decode 2,x
code 0 info sentences --json
says '"model_type":"bert","architecture":"BertModel","parameters":'
says '"tasks":["tokenize","embed"]'
says '"pooling":"mean","normalised":true'
code 0 embed sentences "a red square" "blue" --precision f32
says "16 numbers"
code 0 embed sentences "a red square" --json
says '"item":1,"text":"a red square","vector":['
printf 'a red square\nblue\nwhat is it\n' >texts
code 0 embed sentences --items texts -o v.npy --precision f32
must test "$(wc -c <v.npy)" = $((128 + 3 * 16 * 4))
code 0 embed sentences --items texts -o v.safetensors -q
code 0 embed sentences --items texts -o v.jsonl -q
must test "$(wc -l <v.jsonl)" = 3
code 0 embed sentences -o w.npy --items - -q
code 0 embed vit p1.png p2.png -o p.npy -q
exact embed_exists 2 embed sentences a -o v.npy
exact embed_format 2 embed sentences a -o v.txt
exact embed_missing_picture 1 embed vit p1.png nothing.png -o q.npy
must test ! -e q.npy
exact embed_not_a_model 1 embed texts a
exact generate_usage 2 generate gpt2
code 0 generate gpt2 "it is" --max-new-tokens 4 --beams 2 --json
says '"prompt":"it is"'
code 0 caption captioner p1.png p2.png --num-beams 4 --max-length 16 --json
says '"image":"p2.png"'
code 0 caption captioner p1.png --beams 2 --max-length 8
code 1 caption captioner p1.png nothing.png --max-length 6 --json
says '{"schema":1,"item":2,"error":{"code":"io",'
exact caption_several 0 caption captioner p1.png p2.png p3.png --num-beams 4 --max-length 16 --precision f32
code 0 caption captioner p1.png p2.png p3.png --num-beams 4 --max-length 16 --precision f32 --batch-size 2
must diff out <(sed 1d "$here"/expected/caption_several.txt)
code 0 caption captioner p1.png --prompt "a big" --max-length 8 --precision f32
must grep -q "^a big." out
code 0 caption captioner p1.png p2.png --prompt "a big" --max-length 8 --precision f32
must grep -q "^p2.png: a big." out
exact ask_writes 0 ask blip_asker p1.png "what colour is the circle?" "one or two?" --max-length 9 --precision f32
exact ask_chooses 0 ask vilt_asker p1.png "what colour is the circle?" --top 3 --precision f32
exact ask_chooses_often 0 ask vilt_asker p1.png "is it big" "one or two?" --top 2 --precision f32
code 0 ask vilt_asker p2.png "is it big" --json
says '"question":"is it big","image":"p2.png"'
code 0 ask blip_asker p2.png --items texts --json --beams 2
says '"question":"blue","image":"p2.png"'
exact ask_regions 0 ask visual_bert_asker p3.png "one or two?" --top 2 --regions visual_bert_asker/regions.safetensors --precision f32
code 0 ask visual_bert_asker p1.png "is it big" --regions visual_bert_asker/grid --json
says '"question":"is it big","image":"p1.png"'
exact ask_without_regions 2 ask visual_bert_asker p1.png "is it big"
exact ask_missing_picture 1 ask vilt_asker nothing.png "is it big"
exact ask_no_question 2 ask vilt_asker p1.png
exact ask_cannot 1 ask captioner p1.png "is it big"
cp "$here"/../golden/audio/voice.wav "$here"/../golden/audio/tone.wav .
head -c 300 voice.wav >cut.wav
: >empty.wav
# 40 s of 8-bit sound at 8 kHz: the bytes of other files are noise enough
{ printf 'RIFF\x24\xe2\x04\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00data\x00\xe2\x04\x00'
  cat voice.wav tone.wav listener/* p1.png p2.png voice.wav tone.wav voice.wav tone.wav captioner/* matcher/* | head -c 320000; } >long.wav
must test "$(wc -c <long.wav)" = 320044
code 0 transcribe listener voice.wav --language en
code 0 transcribe listener long.wav --language en --format srt
says " --> 00:00:"
must test "$(head -1 out)" = 1
must grep -qE '^00:00:[0-9]{2},[0-9]{3} --> 00:00:[0-9]{2},[0-9]{3}$' out
code 0 transcribe listener voice.wav tone.wav --task translate --timestamps --beams 2 --max-new-tokens 6
says "voice.wav:"
says "[00:00."
code 0 transcribe listener voice.wav tone.wav --json --max-new-tokens 6
says '{"schema":1,"item":2,'
says '"language":"'
says '"audio":"tone.wav"}'
code 0 transcribe listener voice.wav -o voice.vtt --max-new-tokens 6
must test "$(head -1 voice.vtt)" = WEBVTT
exact transcribe_exists 2 transcribe listener voice.wav -o voice.vtt
mkdir said
code 1 transcribe listener voice.wav cut.wav empty.wav tone.wav -o said --format srt --max-new-tokens 6
says "cut.wav"
says "empty.wav"
must test "$(ls said | tr '\n' ' ')" = "tone.srt voice.srt "
code 0 embed listener voice.wav tone.wav -o sounds.npy -q
must test "$(wc -c <sounds.npy)" = $((128 + 2 * 16 * 4))
exact transcribe_many 2 transcribe listener voice.wav tone.wav --format vtt
exact transcribe_several_one_file 2 transcribe listener voice.wav tone.wav -o all.txt
exact transcribe_language 2 transcribe listener voice.wav --language xx
exact transcribe_cannot 1 transcribe gpt2 voice.wav
exact transcribe_missing 1 transcribe listener gone.wav
cp -r "$golden"/classes_vit "$golden"/classes_bert .
printf 'red square\nblue circle\n\ngreen\n' >labels
exact classify_labels 0 classify matcher p1.png --labels "red square,blue circle,green" --top 2 --precision f32
exact classify_file 0 classify matcher p1.png p2.png p3.png --labels-file labels --template "one {}" --precision f32
exact classify_own 0 classify classes_vit p1.png --top 2 --precision f32
exact classify_texts 0 classify classes_bert "a red square" blue --precision f32
code 1 classify classes_vit p1.png gone.png p2.png --json
says '{"schema":1,"item":2,"error":{"code":"io",'
says '"image":"p2.png"'
exact classify_no_labels 2 classify matcher p1.png
exact classify_own_labels 2 classify classes_vit p1.png --labels a,b
exact classify_cannot 1 classify gpt2 a
exact embed_which_kind 2 embed matcher p1.png
code 0 embed matcher p1.png p2.png --kind image -o m.npy -q
mkdir pictures_only # without a tokenizer the pictures' half is still there
cp matcher/config.json matcher/model.safetensors matcher/preprocessor_config.json pictures_only
code 0 embed pictures_only p1.png p2.png --kind image -o alone.npy -q
cmp -s m.npy alone.npy || fail "a tokenizer changed a picture's vector"
code 1 embed pictures_only "red square" --kind text
code 0 embed matcher "red square" --kind text --prompt "a photo of a "
exact generate_cannot 1 generate sentences "a"

# The examples as a user would run them. Captions are those of the command.
example=$(dirname "$sensorium")/example_caption
if [ -x "$example" ]; then
    code 0 caption captioner p1.png p2.png p3.png --num-beams 4 --max-length 16
    must "$example" captioner p1.png p2.png p3.png >c_out
    must diff out c_out
    "$example" captioner p1.png p2.png nothing.png p3.png >c_out 2>c_err
    must test $? = 1
    must test "$(grep -c '^p[123].png: .' c_out)" = 3
    must grep -q 'item 3: .*nothing.png' c_err
    "$example" nothing p1.png 2>c_out && fail "an example with no model"
    must grep -q nothing c_out
fi

# A text is like itself.
example=$(dirname "$sensorium")/example_embed
if [ -x "$example" ]; then
    must "$example" sentences "a red square" "a red square" "big" >c_out
    must grep -qx '1.0000  a red square' c_out
    "$example" nothing a b 2>c_out && fail "an example with no model"
    must grep -q nothing c_out
fi
finish
