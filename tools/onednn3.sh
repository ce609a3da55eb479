#!/bin/sh
# onednn3.sh DIRECTORY JOBS: builds in DIRECTORY against oneDNN 3.2 (Debian 12 itself has 2.6), whose headers
# and library come as Python wheels; they are checked by SHA-256 and unpacked to DIRECTORY/onednn.
set -e
directory=$1 jobs=$2
cd "$(dirname "$0")/.."
mkdir -p "$directory/onednn"
if [ ! -e "$directory/onednn/lib/libdnnl.so" ]; then
    rm -rf "$directory/wheels"
    python3 -m pip download -qq --disable-pip-version-check --no-deps --only-binary :all: -d "$directory/wheels" \
        onednn-devel-cpu-gomp==2023.2.0 onednn-cpu-gomp==2023.2.0
    (cd "$directory/wheels" && sha256sum --quiet -c) <<SUMS
9763c69e8c907e119056bd52ad918ca84ac9ba939d130a99dfa95ccca3e5e284  onednn_devel_cpu_gomp-2023.2.0-py2.py3-none-manylinux1_x86_64.whl
2f22a54d6a890ed14bfa185d42a4be65d8b5b1df85dc1f0f3a9abe31620416fb  onednn_cpu_gomp-2023.2.0-py2.py3-none-manylinux1_x86_64.whl
SUMS
    for wheel in "$directory"/wheels/*.whl; do python3 -m zipfile -e "$wheel" "$directory/wheels/all"; done
    cp -r "$directory"/wheels/all/*.data/data/include "$directory"/wheels/all/*.data/data/lib "$directory/onednn/"
fi
exec tools/build.sh "$directory" "$jobs" -DBUILD_TESTING=ON -DSN_DNNL_ROOT="$(cd "$directory" && pwd)/onednn"
