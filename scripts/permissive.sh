#!/bin/bash
# What is accepted: each program of bpf/tests/permissive by every compiler for every processor, judged by the
# kernel and by fuse-bpf, as a table of tabs:
#
#   program  compiler  processor  kernel  instructions  fuse-bpf  instructions  reason
#
# All of the programs are safe. Fails when one is refused by fuse-bpf; unless the kernel refuses it too
# and bpf/tests/permissive/expected says why. With --short: the oldest compiler that is there, and no kernel.
#
#   FUSE_BPF=path      the program; built if it is not there
#   CLANGS="14 19"     the compilers
#   TABLE=file         where the table goes; otherwise only a summary is printed
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/program.sh
sources=bpf/tests/permissive
short=${1:-}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

compilers=()
for version in ${CLANGS:-14 16 19 22}; do
	if command -v "clang-$version" >/dev/null; then
		compilers+=("clang-$version")
	else
		echo "skipped: clang-$version is not installed (package clang-$version)"
	fi
done
if [ ${#compilers[@]} = 0 ]; then
	if ! command -v clang >/dev/null || ! clang -print-targets 2>/dev/null | grep -q bpf; then
		echo "skipped: there is no clang for BPF (package clang)"
		exit 0
	fi
	compilers=(clang)
fi
if [ "$short" = --short ]; then
	compilers=("${compilers[0]}")
fi

# The kernel is asked by libbpf.
oracle=
if [ "$short" = --short ]; then
	echo "skipped: the kernel is not asked in the short form"
elif ! cc -O1 -o "$scratch/oracle" scripts/oracle.c -lbpf 2>/dev/null; then
	echo "skipped: the kernel is not asked: no C compiler or libbpf (package libbpf-dev)"
else
	oracle=$scratch/oracle
fi

table=${TABLE:-$scratch/table}
: >"$table"
for compiler in "${compilers[@]}"; do
	for cpu in 1 2 3 4; do
		if ! echo | "$compiler" -target bpf -mcpu=v$cpu -c -x c -o /dev/null - 2>"$scratch/errors" ||
			grep -q 'not a recognized processor' "$scratch/errors"; then
			continue
		fi
		rm -rf "$scratch/ours" "$scratch/kernel"
		mkdir "$scratch/ours" "$scratch/kernel"
		for source in "$sources"/*.bpf.c; do
			name=$(basename "$source" .bpf.c)
			build=("$compiler" -target bpf -g -O2 "-mcpu=v$cpu" "-DCPU=$cpu" -Wall -Werror -I bpf/include)
			"${build[@]}" -c "$source" -o "$scratch/ours/$name.bpf.o"
			if [ -n "$oracle" ]; then
				"${build[@]}" -DORACLE -c "$source" -o "$scratch/kernel/$name.bpf.o"
			fi
		done
		: >"$scratch/kernel.txt"
		if [ -n "$oracle" ]; then
			for object in "$scratch"/kernel/*.o; do
				status=0
				"$oracle" "$object" >>"$scratch/kernel.txt" || status=$?
				if [ "$status" = 2 ]; then
					echo "skipped: the kernel is not asked: it does not load programs for this user"
					oracle=
					break
				elif [ "$status" != 0 ]; then
					echo "FAIL the kernel's library does not read $(basename "$object") ($compiler v$cpu)"
					exit 1
				fi
			done
		fi
		"$FUSE_BPF" verify --stats "$scratch"/ours/*.o >"$scratch/ours.txt" 2>&1 || :
		awk -v compiler="$compiler" -v cpu="v$cpu" '
			BEGIN { FS = "\t" }
			FILENAME == ARGV[1] { kernel[$1] = $2 "\t" $3; why[$1] = $4; next }
			/by a tail call\)/ { next }
			/^(accepted|rejected) / {
				match($0, /\([^()]*\): processed [0-9]+/)
				text = substr($0, RSTART + 1, RLENGTH - 1)
				split(text, part, "\\): processed ")
				order[++count] = part[1]
				verdict[part[1]] = ($0 ~ /^accepted/ ? "accepted" : "refused") "\t" part[2]
				next
			}
			/^error: / { error = substr($0, 8) }
			/^ *--> .*\[.* of / {
				match($0, /\[[^ ]* of /)
				reason[substr($0, RSTART + 1, RLENGTH - 5)] = error
			}
			/^fuse-bpf: / { print "not judged: " $0 >"/dev/stderr"; failed = 1 }
			END {
				for (i = 1; i <= count; i++) {
					name = order[i]
					asked = name in kernel ? kernel[name] : "not asked\t0"
					print name "\t" compiler "\t" cpu "\t" asked "\t" verdict[name] "\t" reason[name] (why[name] ? " [kernel: " why[name] "]" : "")
				}
				exit failed
			}' "$scratch/kernel.txt" "$scratch/ours.txt" >>"$table"
	done
done

awk -v expected="$sources/expected" '
	BEGIN {
		FS = "\t"
		while ((getline line <expected) > 0) {
			if (line ~ /^#/ || line == "") continue
			split(line, word, / +/)
			allowed[word[1]] = line
		}
	}
	{
		where = $2 " " $3
		if (!(where in total)) order[++count] = where
		total[where]++
		kernel[where] += $4 == "accepted"
		asked[where] += $4 != "not asked"
		ours[where] += $6 == "accepted"
		if ($4 == "accepted" && $6 == "accepted") { theirs_work[where] += $5; our_work[where] += $7 }
		if ($6 == "accepted") next
		if ($4 != "accepted" && $1 in allowed) { seen[$1] = 1; next }
		printf "FAIL %s (%s): fuse-bpf refuses it, kernel: %s: %s\n", $1, where, $4, $8
		failed++
	}
	END {
		printf "%-18s %9s %9s %9s   instructions where both accept\n", "", "programs", "kernel", "fuse-bpf"
		for (i = 1; i <= count; i++) {
			where = order[i]
			printf "%-18s %9d %9s %9d   %d : %d\n", where, total[where],
				asked[where] ? kernel[where] : "-", ours[where], theirs_work[where], our_work[where]
		}
		for (name in seen) print "expected: " allowed[name]
		if (!NR) { print "FAIL nothing was judged"; failed++ }
		exit failed > 0
	}' "$table"
