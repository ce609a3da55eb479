# What `make install` puts into place is complete: a C program finds header and library through pkg-config and
# through CMake, and the command runs from there.
. ./lib.sh
build=$(dirname "$sensorium")
cd "$work" || exit 1
prefix=$work/usr
cmake --install "$build" --prefix "$prefix" >log 2>&1 || { cat log; fail "cmake --install"; finish; }
for file in bin/sensorium include/sensorium.h share/man/man1/sensorium.1 share/bash-completion/completions/sensorium; do
    must test -s "$prefix/$file"
done
must grep -q '^\.TH SENSORIUM 1' "$prefix/share/man/man1/sensorium.1"
must "$prefix/bin/sensorium" --version >/dev/null
lib=$(dirname "$(find "$prefix" -name libsensorium.so | head -1)")
must test -s "$lib/libsensorium.a"

export PKG_CONFIG_PATH=$lib/pkgconfig LD_LIBRARY_PATH=$lib
must pkg-config --exact-version="$("$sensorium" --version | cut -d' ' -f2)" sensorium
cp "$here"/../../examples/*.c .
# A library with a sanitizer in it needs the same in the program; the examples are then tested elsewhere.
if ! nm -D --undefined-only "$lib/libsensorium.so" | grep -qE '__(asan|ubsan|tsan)_'; then
    for name in train predict caption embed; do
        # shellcheck disable=SC2046
        must cc -std=c17 $name.c $(pkg-config --cflags --libs sensorium) -o $name
        ./$name >/dev/null 2>&1
        must test $? = 2
    done
    mkdir project
    cp train.c project/
    cat >project/CMakeLists.txt <<'CODE'
cmake_minimum_required(VERSION 3.16)
project(user C)
find_package(sensorium 0.1 REQUIRED)
add_executable(user train.c)
target_link_libraries(user PRIVATE sensorium::sensorium)
CODE
    if cmake -S project -B project/build -DCMAKE_PREFIX_PATH="$prefix" >log 2>&1 && cmake --build project/build >>log 2>&1; then
        project/build/user >/dev/null 2>&1
        must test $? = 2
    else
        cat log
        fail "a CMake project that uses the package"
    fi
fi
finish
