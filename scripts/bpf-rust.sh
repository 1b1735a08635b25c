#!/bin/sh
# Builds the filters written in Rust, beside their sources; docs/rust-filters.md says what it needs.
# BPF_RUSTC names the compiler, BPF_SYSROOT the directory with its lib/rustlib, LLC the code generator of the same
# LLVM, BPF_OBJCOPY what removes DWARF; OUT another directory for the objects.
set -eu
cd "$(dirname "$0")/../bpf"
for source in rust/*.rs; do
	object="${OUT:-.}/${source%.rs}.bpf.o"
	mkdir -p "$(dirname "$object")"
	"${BPF_RUSTC:-rustc}" --sysroot "${BPF_SYSROOT:-/usr}" --edition 2024 --target bpfel-unknown-none \
		--crate-type lib --emit=obj -O -g -C panic=abort -C codegen-units=1 -D warnings \
		--remap-path-prefix="$PWD=." -o "$object.bc" "$source"
	"${LLC:-llc-22}" -march=bpf -mcpu=v3 -filetype=obj -o "$object" "$object.bc"
	"${BPF_OBJCOPY:-llvm-objcopy-22}" --strip-debug "$object"
	rm "$object.bc"
done
