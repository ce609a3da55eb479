#!/bin/sh
# run.sh DIRECTORY SECONDS JOBS: builds every fuzz target with clang's libFuzzer and the address and
# undefined-behaviour sanitizers, and runs each for SECONDS from the committed corpus. Inputs found on the way
# stay in DIRECTORY/found; a finding stops the run and leaves its input there too.
set -e
directory=$1 seconds=$2 jobs=$3
cd "$(dirname "$0")/.."
TARGETS=$(cd fuzz && ls fuzz_*.c | sed 's/\.c$//')
export TARGETS
tools/build.sh "$directory" "$jobs" -DCMAKE_C_COMPILER=clang -DSN_FUZZ=ON -DSN_SANITIZE=address,undefined \
    -DSN_PTHREADS=ON -DSN_DNNL=OFF -DBUILD_TESTING=ON
for source in fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    found=$directory/found/${name#fuzz_}
    mkdir -p "$found"
    set -- "$found"
    [ ! -d "fuzz/corpus/${name#fuzz_}" ] || set -- "$@" "fuzz/corpus/${name#fuzz_}"
    echo "== $name, $seconds seconds"
    "$directory/fuzz/$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -verbosity=0 \
        -print_final_stats=1 -artifact_prefix="$found/" "$@"
done
