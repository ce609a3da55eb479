# Published models on the command line: tokens, vectors in every form, generated text, what the model is, and what is wrong.
. ./lib.sh
golden=$here/../golden/pipelines
cd "$work" || exit 1
cp -r "$golden"/sentences "$golden"/vit "$golden"/gpt2 "$golden"/captioner "$golden"/matcher "$golden"/blip_asker \
    "$golden"/vilt_asker "$golden"/p[123].png .

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
exact ask_writes 0 ask blip_asker p1.png "what colour is the circle?" "one or two?" --max-length 9 --precision f32
exact ask_chooses 0 ask vilt_asker p1.png "what colour is the circle?" --top 3 --precision f32
exact ask_chooses_often 0 ask vilt_asker p1.png "is it big" "one or two?" --top 2 --precision f32
code 0 ask vilt_asker p2.png "is it big" --json
says '"question":"is it big","image":"p2.png"'
code 0 ask blip_asker p2.png --items texts --json --beams 2
says '"question":"blue","image":"p2.png"'
exact ask_missing_picture 1 ask vilt_asker nothing.png "is it big"
exact ask_no_question 2 ask vilt_asker p1.png
exact ask_cannot 1 ask captioner p1.png "is it big"
exact embed_which_kind 2 embed matcher p1.png
code 0 embed matcher p1.png p2.png --kind image -o m.npy -q
code 0 embed matcher "red square" --kind text --prompt "a photo of a "
exact generate_cannot 1 generate sentences "a"

# The example as a user would run it: a text is like itself.
example=$(dirname "$sensorium")/example_embed
if [ -x "$example" ]; then
    must "$example" sentences "a red square" "a red square" "big" >c_out
    must grep -qx '1.0000  a red square' c_out
    "$example" nothing a b 2>c_out && fail "an example with no model"
    must grep -q nothing c_out
fi
finish
