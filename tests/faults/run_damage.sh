#!/bin/sh
# run_damage.sh PROGRAM [OPTIONS…]: runs it with a Python 3 that has what the second reader needs, in MAILHOLD_READER: who
# tells what each item depends on must not be the code that is tested. Exit code 77: skipped.
set -eu
for python in python3 /usr/bin/python3; do
	if "$python" -c 'import nacl.bindings, zstandard' 2>/dev/null; then
		MAILHOLD_READER="$python -B $(dirname "$0")/../reader/read_repository.py" exec "$@"
	fi
done
echo "skipped: no python3 with PyNaCl and zstandard; scripts/packages test installs what is needed"
[ -z "${MAILHOLD_TEST_NO_SKIP:-}" ] || exit 1
exit 77
