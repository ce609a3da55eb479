# What is broken is named with file, row and column; nothing is guessed away.
. ./lib.sh
cd "$work" || exit 1
cp "$here"/data/red1.png good.png
head -c 60 good.png >cut.png
: >empty.png
echo "just some words" >text.jpg
cp "$here/data/huge.png" huge.png

printf 'image,label\ngood.png,a\ncut.png,b\nempty.png,a\ntext.jpg,b\nnothing.png,a\n,b\nhuge.png,a\n' >media.csv
exact inspect_media 1 inspect media.csv
exact inspect_media_json 1 inspect media.csv --json
printf 'image,label\ngood.png,a\n,b\n' >fine.csv
exact inspect_fine 0 inspect fine.csv
printf 'image,label\nC:\\pictures\\a.png,a\n"good.png;cut.png",b\n' >paths.csv
exact inspect_paths 1 inspect paths.csv

printf 'rating,文字,price\n1,很好,1.5\n5,不好 吃,2\n3,,\n' >chinese.csv
exact inspect_chinese 0 inspect chinese.csv
exact inspect_type 0 inspect chinese.csv --type rating=category

printf 'a,b\n1,2\n3\n' >ragged.csv
exact csv_ragged 1 inspect ragged.csv
printf 'a,b\n1,\xff\xfe\n' >utf8.csv
exact csv_utf8 1 inspect utf8.csv
printf 'a,b\n1,"open\n2,3\n' >quote.csv
exact csv_quote 1 inspect quote.csv
: >empty.csv
exact csv_empty 1 inspect empty.csv
printf 'a,b\n' >header.csv
exact csv_header_only 1 inspect header.csv
printf 'a,a\n1,2\n' >twice.csv
exact csv_duplicate 1 inspect twice.csv
printf '\xef\xbb\xbfa,b\r\n1,"two\nlines"\r\n2,x\r\n' >bom.csv
exact csv_bom_crlf 0 inspect bom.csv
printf '\xce\xc4\xd7\xd6,b\n\xba\xc3,1\n\xbb\xb5,2\n' >gb.csv
exact csv_gb18030 1 inspect gb.csv
exact csv_gb18030_read 0 inspect gb.csv --encoding gb18030
printf '{"a": 1, "b": "x"}\n{"a": 2, "b": \n' >bad.jsonl
exact jsonl_broken 1 inspect bad.jsonl
exact bad_type_column 2 inspect fine.csv --type nothing=text
exact bad_type_kind 2 inspect fine.csv --type label=colour
finish
