#!/bin/sh
# Makes a golden repository: tests/golden/make_golden.sh build/release/mailhold tests/golden/v2
# Refuses a folder that is there: a golden repository is never made again (README.md).
set -eu
[ $# = 2 ] || {
	echo "usage: $0 MAILHOLD FOLDER" >&2
	exit 2
}
exec "$(dirname "$0")/run.sh" make --program "$1" --golden "$2"
