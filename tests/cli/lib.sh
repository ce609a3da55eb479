# lib.sh: what the tests of the command share. Sourced by tests/cli/test_*.sh, which ctest runs in tests/cli with
# SENSORIUM set to the binary.
#
#   exact NAME CODE ARGS...     runs the command: exit code and whole output (stdout, then stderr) must be as in
#                               expected/NAME.txt; REFRESH=1 writes that file instead
#   code CODE ARGS...           the exit code only; output is left in $work/out and $work/err
#   says TEXT / hushed TEXT     the output of the last command has / has not this text
#   must WORDS...               a command of the shell that must succeed
#   $small, $long               options of small networks, and epochs of a run that is to take a while: SN_TEST_SMALL=1
#                               (the thread sanitizer) makes the first not empty, the second smaller
set -u
here=$PWD
sensorium=${SENSORIUM:?set SENSORIUM to the binary}
[ -x "$sensorium" ] || exit 77
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
unset TERM
export LC_ALL=C.UTF-8
small= long=40
[ "${SN_TEST_SMALL:-}" != 1 ] || small="--config $here/small.yaml" long=12

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

code() {
    local want=$1 got=0
    shift
    "$sensorium" "$@" >"$work/out" 2>"$work/err" </dev/null || got=$?
    last="sensorium $*"
    [ "$got" = "$want" ] && return
    fail "exit $got instead of $want: $last"
    cat "$work/out" "$work/err"
}

says() { cat "$work/out" "$work/err" | grep -qF -- "$1" || { fail "'$1' is not in the output of: $last"; cat "$work/out" "$work/err"; }; }
hushed() { ! cat "$work/out" "$work/err" | grep -qF -- "$1" || fail "'$1' is in the output of: $last"; }
must() { "$@" || fail "$*"; }

exact() {
    local name=$1 want=$2 file=$here/expected/$1.txt
    shift 2
    code "$want" "$@"
    { echo "\$ $last"; cat "$work/out"; [ ! -s "$work/err" ] || { echo "--- stderr"; cat "$work/err"; }; } |
        sed "s|$work|WORK|g" >"$work/exact"
    if [ "${REFRESH:-}" ]; then
        cp "$work/exact" "$file"
    elif ! diff -u "$file" "$work/exact"; then
        fail "output of: $last"
    fi
}

# make_table FILE ROWS: pictures of three colours, a sentence that says the size, and two targets. The pictures
# are copied beside it.
make_table() {
    local colour size n
    cp "$here"/data/*[12].png "$(dirname "$1")"
    echo image,text,price,label,size >"$1"
    for n in $(seq "$2"); do
        case $((n % 3)) in 0) colour=red ;; 1) colour=green ;; 2) colour=blue ;; esac
        case $((n / 3 % 2)) in 0) size=big ;; 1) size=small ;; esac
        echo "$colour$((n % 2 + 1)).png,\"a $size one, 第 $n\",$((n % 7)).5,$colour,$size" >>"$1"
    done
}

finish() {
    [ "$failures" = 0 ] || { echo "$failures failed"; exit 1; }
    exit 0
}
