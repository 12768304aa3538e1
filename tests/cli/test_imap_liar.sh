# Servers that misbehave in every way we know of: nothing is lost, nothing comes twice, one bad message stops one message, and no
# command that could change the mailbox is ever sent.
seed=${MAILHOLD_TEST_SEED:-1} # before the environment is cleaned
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/dovecot.sh"
command -v openssl >/dev/null || skip "openssl is not installed"
dovecot_certificates
dir=$(cd "$(dirname "$0")" && pwd)
echo "seed $seed"
python3 "$dir/imap_liar.py" "$box/tls/server.pem" "$box/tls/server.key" "$box" "$seed" 2>"$box/liar.log" &
liar=$!
trap 'kill $liar 2>/dev/null; chmod -R u+rwx "$box" 2>/dev/null; rm -rf "$box"' EXIT
for _ in $(seq 200); do
	[ -e "$box/ports" ] && break
	sleep 0.05
done
read -r port bad_port <"$box/ports" || die "the server does not start: $(cat "$box/liar.log")"
echo secret >"$box/pw"
export MAILHOLD_SOURCE_PASSWORD_FILE=$box/pw
run 0 init

# pull CODE FAULT RUN [WORDS…]: a snapshot that ends with CODE, and holds exactly what the server says one must.
pull()
{
	local code=$1 fault=$2 number=$3
	shift 3
	run "$code" snapshot --source-ca "$box/tls/ca.pem" --source-wait 20 --json "$@" "imaps://$fault@127.0.0.1:${at:-$port}"
	snapshot=$out
	rm -rf "$box/back"
	"$MAILHOLD" restore "$fault@latest" --to "files:$box/back" >"$box/out2" 2>&1 || die "$fault: no restore: $(cat "$box/out2")"
	find "$box/back" -name '*.eml' -exec sha256sum {} + | sed 's/ .*//' | sort >"$box/got"
	cmp -s "$box/got" "$box/want-$fault-$number" ||
		die "$fault, run $number: other mail came back: $(diff "$box/want-$fault-$number" "$box/got" | head -5)"
	out=$snapshot
}

# An old server, and a new one: the second time only what changed is asked for.
pull 0 plain 1
pull 0 full 1
says '"items_new":30'
pull 0 full 2
says '"items_new":1,"items_moved":0'
says '"items_state_changed":1,"items_removed":2'
pull 0 full 3
says '"collections_unchanged":1'

# UIDVALIDITY changes, is given twice, is missing.
pull 0 uidvalidity-changed 1
pull 0 uidvalidity-changed 2
says '"items_moved":30'
says '"bytes_read":0'
pull 0 uidvalidity-repeats 1
pull 0 uidvalidity-repeats 2
pull 0 uidvalidity-missing 1
pull 0 uidvalidity-missing 2
says '"items_changed":30'

# given FAULT RUN NUMBER: so many bodies, or parts of one, were given.
given()
{
	local have
	have=$(cat "$box/given-$1-$2" 2>/dev/null | wc -l)
	[ "$have" = "$3" ] || die "$1, run $2: $have bodies were given, not $3: $(head -5 "$box/given-$1-$2")"
}

# Object ids (RFC 8474): what lies in two folders, moved or was renamed is fetched once in all.
pull 0 objectid 1
given objectid 1 34
pull 0 objectid 2
given objectid 2 1
says '"items_moved":11'
pull 0 objectid 3
given objectid 3 0
says '"collections_unchanged":3'

# Gmail (X-GM-EXT-1): a label is a folder more that shows the message.
pull 0 gmail 1
given gmail 1 28
pull 0 gmail 2
given gmail 2 0
says '"bytes_read":0'
pull 0 gmail 3
given gmail 3 1
pull 0 gmail 4
given gmail 4 0
run 0 snapshot --dry-run --source-ca "$box/tls/ca.pem" --json "imaps://gmail-dry@127.0.0.1:$port"
says '"items":58'

# UIDs vanish; fewer and more answers than asked for; wrong sizes; NULs and literal8; names.
pull 0 vanish 1
pull 3 fewer 1
hints 'counts 30 messages and lists 29'
pull 0 fewer 2
pull 0 more 1
pull 0 wrong-size 1
pull 0 nul 1
pull 0 names 1
run 0 ls names@latest
for name in 'Entwürfe' 'Grüße' 'a/b/c' 'q"uote' '&broken' 'a%252Fb'; do
	says "$name"
done
pull 0 names-old 1
pull 0 flat 1

# BYE in the middle; one poison message; a literal that is not as long as announced.
pull 0 bye 1
for fault in poison-refused poison-cuts poison-passed-over wrong-literal; do
	pull 3 $fault 1
	says '"items_skipped":1'
	hints "INBOX#0000000077.0000000007"
done
# It is tried again, and nothing else is.
pull 3 poison-refused 2
says '"items_new":0'

# Later.
pull 0 throttled 1
pull 0 throttled-in-words 1
pull 0 drip 1
pull 0 too-many 1

# Large ones, and the same over a line that cuts, delays, drips and spoils.
pull 0 large 1
for round in 1 2 3; do
	for _ in 1 2 3 4 5 6 7 8; do # the first login is tried once: whoever starts the program starts it again
		"$MAILHOLD" snapshot --source-ca "$box/tls/ca.pem" --source-wait 20 --account line$round --json \
			"imaps://line@127.0.0.1:$bad_port" >"$box/out" 2>"$box/err" && break
	done
	out=$(cat "$box/out") err=$(cat "$box/err")
	says '"items":14'
	says '"items_skipped":0'
	rm -rf "$box/back"
	run 0 restore "line$round@latest" --to "files:$box/back"
	find "$box/back" -name '*.eml' -exec sha256sum {} + | sed 's/ .*//' | sort >"$box/got"
	cmp "$box/got" "$box/want-line-1" || die "the bad line spoiled something"
done

[ -e "$box/offences" ] && die "the server was told what it must not be told: $(head -c 600 "$box/offences")"
[ -s "$box/liar.log" ] && die "the server stumbled: $(head -c 800 "$box/liar.log")"
exit 0
