#!/bin/sh
# build.sh DIRECTORY JOBS [CMAKE FLAGS]: configure and build (TARGETS, or all); quiet unless something fails.
set -e
directory=$1 jobs=$2
shift 2
cd "$(dirname "$0")/.."
mkdir -p "$directory"
if ! { command -v cmake && command -v ninja; } >/dev/null ||
    ! cmake -S . -B "$directory" -G Ninja "$@" >"$directory/configure.log" 2>&1; then
    if [ -s "$directory/configure.log" ]; then tail -n 20 "$directory/configure.log" >&2; fi
    tools/deps.sh hint build test >&2
    exit 1
fi
cmake --build "$directory" -j "$jobs" ${TARGETS:+--target $TARGETS}
