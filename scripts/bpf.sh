#!/bin/sh
# Builds the filters that ship, those of the tests, those the verifier refuses and what the benchmark of the engine
# runs, beside their sources.
# BPF_CLANG names the compiler (default: clang); OUT another directory for the objects.
set -eu
cd "$(dirname "$0")/../bpf"
for source in filters/*.bpf.c tests/*.bpf.c rejected/*.bpf.c bench/*.bpf.c; do
	object="${OUT:-.}/${source%.c}.o"
	mkdir -p "$(dirname "$object")"
	# The compilation directory would be the only path of this machine in the object.
	"${BPF_CLANG:-clang}" -target bpf -g -O2 -mcpu=v3 -Wall -Werror -fdebug-compilation-dir=. \
		-I include -c "$source" -o "$object"
done
