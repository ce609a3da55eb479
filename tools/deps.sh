#!/bin/sh
# deps.sh install|hint|list GROUP...: the Debian packages that a group of targets needs.
#
#   install  as root installs exactly what is missing; as anyone else prints the one line and stops with 1
#   hint     prints the one line if something is missing
#   list     prints the names
#
# On a system without dpkg nothing is checked: cmake then says what it does not find.
set -e
action=$1
shift

build="gcc libc6-dev cmake ninja-build pkg-config libdnnl-dev libjpeg-dev libpng-dev libwebp-dev libtiff-dev
    libgif-dev libavformat-dev libavcodec-dev libswresample-dev libswscale-dev libavutil-dev libjansson-dev
    libyaml-dev libutf8proc-dev libpcre2-dev zlib1g-dev"
test="libcmocka-dev"
demo="python3 python3-pip" # pip fetches the demonstration's data
fuzz="clang libclang-rt-14-dev" # the second is only recommended by the first

names=
for group; do
    case $group in
    build) names="$names $build" ;;
    test) names="$names $test" ;;
    demo) python3 -m pip --version >/dev/null 2>&1 || names="$names $demo" ;;
    fuzz) echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' | clang -x c -fsanitize=fuzzer,address -o /dev/null - 2>/dev/null || names="$names $fuzz" ;;
    *) echo "deps.sh: no group '$group'" >&2; exit 2 ;;
    esac
done

if [ "$action" = list ]; then
    printf '%s\n' $names
    exit 0
fi
command -v dpkg-query >/dev/null || exit 0

missing=
for name in $names; do
    case $(dpkg-query -W -f '${Status}' "$name" 2>/dev/null) in
    *' installed') ;;
    *) missing="$missing $name" ;;
    esac
done
[ -n "$missing" ] || exit 0

if [ "$action" = install ] && [ "$(id -u)" = 0 ]; then
    echo "installing:$missing"
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -q -y --no-install-recommends $missing; } >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        exit 1
    }
    exit 0
fi
echo "Missing Debian packages; install them with:"
echo "  sudo apt-get install --no-install-recommends$missing"
if [ "$action" = install ]; then exit 1; fi
