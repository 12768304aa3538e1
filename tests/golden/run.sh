#!/bin/sh
# Runs golden.py with a Python 3 that has what the reader needs, if there is one; the first Python 3 otherwise, which
# then skips what it cannot do. Exit code 77: skipped.
set -eu
first=
for python in python3 /usr/bin/python3; do
	command -v "$python" >/dev/null 2>&1 || continue
	first=${first:-$python}
	if "$python" -c 'import nacl.bindings, zstandard' 2>/dev/null; then
		exec "$python" -B "$(dirname "$0")/golden.py" "$@"
	fi
done
[ -n "$first" ] || {
	echo "skipped: there is no python3; scripts/packages test installs what is needed"
	[ -z "${MAILHOLD_TEST_NO_SKIP:-}" ] || exit 1
	exit 77
}
exec "$first" -B "$(dirname "$0")/golden.py" "$@"
