# What the stories share: a home of their own, a repository, mails, and words to check with. Source it first.
#   run CODE WORDS…     runs mailhold, keeps its $out and $err, and fails unless it ends with CODE
#   says TEXT, hints TEXT, silent   about $out, $err, and both
set -u
: "${MAILHOLD:?names the program to test}"

box=$(mktemp -d "${TMPDIR:-/tmp}/mailhold-cli-XXXXXX") || exit 1
trap 'chmod -R u+rwx "$box" 2>/dev/null; rm -rf "$box"' EXIT
for name in $(env | sed -n 's/^\(MAILHOLD_[A-Z_]*\)=.*/\1/p'); do
	unset "$name"
done
export HOME=$box/home XDG_CONFIG_HOME=$box/config XDG_CACHE_HOME=$box/cache XDG_STATE_HOME=$box/state TZ=UTC LC_ALL=C.UTF-8
export MAILHOLD_REPOSITORY=$box/repo MAILHOLD_KEY_FILE=$box/key
mkdir -p "$HOME"
out='' err='' last=''

die()
{
	printf 'FAILED: %s\n  last: mailhold %s\n--- stdout\n%s\n--- stderr\n%s\n' "$*" "$last" "$out" "$err" | cat -v >&2
	exit 1
}

skip()
{
	echo "skipped: $*"
	exit 77
}

# Standard output goes through a file, so that NULs and the last line end survive in $box/out.
run()
{
	local want=$1 code=0
	shift
	last=$*
	"$MAILHOLD" "$@" >"$box/out" 2>"$box/err" </dev/null || code=$?
	out=$(tr -d '\0' <"$box/out")
	err=$(tr -d '\0' <"$box/err")
	[ "$code" = "$want" ] || die "it ended with $code, not with $want"
}

says()
{
	case $out in
	*"$1"*) ;;
	*) die "it does not say '$1'" ;;
	esac
}

says_not()
{
	case $out in
	*"$1"*) die "it says '$1'" ;;
	esac
}

hints()
{
	case $err in
	*"$1"*) ;;
	*) die "it does not hint '$1'" ;;
	esac
}

same_tree()
{
	diff -r "$1" "$2" >"$box/diff" 2>&1 || die "$1 and $2 differ: $(head -5 "$box/diff")"
}

# mail FILE SUBJECT [BODY]
mail()
{
	printf 'From: Ann Smith <ann@example.org>\r\nTo: bob@example.net\r\nSubject: %s\r\nDate: Sun, 22 Nov 2026 20:15:00 +0000\r\nMessage-ID: <%s@example.org>\r\n\r\n%s\r\n' \
		"$2" "$(basename "$1" | tr -c 'A-Za-z0-9.\n' _)" "${3:-Body of $2.}" >"$1"
}

# A Maildir++ in FOLDER with INBOX and Sent.
maildir()
{
	mkdir -p "$1"/{cur,new,tmp} "$1"/.Sent/{cur,new,tmp}
	mail "$1/cur/1700000001.M1P1.host:2,S" "Lunch on Friday"
	mail "$1/cur/1700000002.M2P1.host:2,FS" "The contract" "Please sign."
	mail "$1/new/1700000003.M3P1.host" "Weekly report"
	mail "$1/.Sent/cur/1700000004.M4P1.host:2,S" "Re: Lunch on Friday"
}

# The first place SNAP:COLLECTION#KEY in $out.
first_place()
{
	printf '%s\n' "$out" | grep -oE '[0-9a-f]{8}:[^ ]+#[^ ]+' | head -1
}

init()
{
	run 0 init
}
