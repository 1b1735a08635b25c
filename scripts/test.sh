#!/bin/bash
# Installs what is missing and runs every test: cargo's, then each script in scripts/tests.
# Tests that cannot run here say "skipped:" and why; the reasons are repeated at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh test

log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0
failed=0

# run TEXT COMMAND...: with a header; the output kept, and shown but for the names of tests that passed.
run() {
	local text=$1
	shift
	printf '\n== %s\n' "$text"
	"$@" 2>&1 | tee -a "$log" | sed -u -e '/^test .* \.\.\. ok$/d' -e '/^successes:$/d' -e '/^    [A-Za-z0-9_:+]*$/d' | cat -s
}

cargo_status=0
run "cargo test --workspace" cargo test --workspace --no-fail-fast -- --show-output || cargo_status=$?

for script in scripts/tests/*.sh; do
	[ -e "$script" ] || continue
	if run "$script" "$script"; then
		passed=$((passed + 1))
		echo "PASS  $script"
	else
		failed=$((failed + 1))
		echo "FAIL  $script"
	fi
done

# Each test binary ends with: test result: ok. 12 passed; 0 failed; ...
count() {
	sed -n "s/^test result: .* \([0-9][0-9]*\) $1;.*/\1/p" "$log" | awk '{ sum += $1 } END { print sum + 0 }'
}
in_binaries_failed=$(count failed)
passed=$((passed + $(count passed)))
failed=$((failed + in_binaries_failed))
if [ $cargo_status != 0 ] && [ "$in_binaries_failed" = 0 ]; then
	echo "cargo test failed before its tests could"
	failed=$((failed + 1))
fi

echo
sed -n 's/^ *skipped: */skipped: /p' "$log" | sort -u
sed -n 's/^test \(.*\) \.\.\. FAILED$/failed: \1/p' "$log" | sort -u
echo "$passed passed, $failed failed"
if [ "$failed" = 0 ]; then
	echo "RESULT: PASS"
else
	echo "RESULT: FAIL"
	exit 1
fi
