#!/bin/sh
# sanitize.sh asan|ubsan|tsan DIRECTORY JOBS: builds with that sanitizer beside the normal build, runs the tests.
#
# The thread sanitizer does not know OpenMP's synchronisation, so there sn_parallel runs on pthreads and the
# reference kernels compute; they are slow under it, so the tests of the command train small networks
# (SN_TEST_SMALL, see tests/cli/lib.sh).
set -e
kind=$1 directory=$2 jobs=$3
cd "$(dirname "$0")/.."
case $kind in
asan) flags="-DSN_SANITIZE=address" ;;
ubsan) flags="-DSN_SANITIZE=undefined" ;;
tsan) flags="-DSN_SANITIZE=thread -DSN_PTHREADS=ON -DSN_DNNL=OFF"; export SN_TEST_SMALL=1 ;;
*) echo "sanitize.sh: asan, ubsan or tsan" >&2; exit 2 ;;
esac
tools/build.sh "$directory" "$jobs" $flags -DBUILD_TESTING=ON
exec ctest --test-dir "$directory" -j"$jobs" --output-on-failure -LE long
