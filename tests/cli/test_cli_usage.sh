# Wrong usage is 2, says what is meant, and help, manual page and completion come from the same tables.
. ./lib.sh
cd "$work" || exit 1
printf 'a,b\n1,x\n2,y\n' >d.csv

exact help 0 help
exact help_predict 0 predict --help
exact no_command 2
exact unknown_command 2 trian d.csv
exact unknown_command_far 2 frobnicate
exact unknown_option 2 train d.csv --traget b
exact unknown_option_far 2 train d.csv --frobnicate
exact other_commands_option 2 info m --target b
exact no_value 2 train d.csv --target
exact value_is_option 2 train d.csv --target --json
exact flag_with_value 2 inspect d.csv --json=yes
exact not_a_number 2 train d.csv --target b -o m --epochs many
exact negative 2 train d.csv --target b -o m --learning-rate=-1
exact not_a_choice 2 train d.csv --target b -o m --precision bf16
exact no_equals 2 inspect d.csv --type a
exact empty_name 2 train d.csv --target a,,b -o m
exact no_target 2 train d.csv -o m
exact no_output 2 train d.csv --target b
exact too_many 2 inspect d.csv e.csv
exact too_few 2 evaluate m
exact json_usage 2 train d.csv --traget b --json
exact json_missing_file 1 inspect nothing.csv --json
exact resume_overwrite 2 train d.csv --target b -o m --resume --overwrite
exact features_output 2 features m d.csv
exact convert_output 2 convert m.bin
exact not_a_dtype 2 convert m.bin -o x --dtype f64
exact not_a_pair 2 predict m a=1 b
exact nothing_to_resume 2 train d.csv --target b -o m --resume

mkdir taken
exact output_exists 2 train d.csv --target b -o taken
must test -z "$(ls -A taken)"

code 0 --version
must grep -qx 'sensorium [0-9]*\.[0-9]*\.[0-9]*' out
code 0 help --man
for command in inspect train evaluate predict features info verify convert bench embed caption ask generate tokenize help; do
    says "sensorium $command"
    must "$sensorium" $command --help >/dev/null
done
code 0 help --completion bash
must bash -n out
. ./out
COMP_WORDS=(sensorium pre) COMP_CWORD=1
_sensorium
must test "${COMPREPLY[*]}" = predict
COMP_WORDS=(sensorium train d.csv --over) COMP_CWORD=3
_sensorium
must test "${COMPREPLY[*]}" = --overwrite
COMP_WORDS=(sensorium train d.csv --precision "") COMP_CWORD=4
_sensorium
must test "${COMPREPLY[*]}" = "f32 auto"

# A full standard output is an error, a closed one is silent.
"$sensorium" help >/dev/full 2>err && fail "a full standard output"
must grep -q "standard output" err
finish
