# A server that refuses, forgets to answer, hangs up and lies about what it can: each message ends there once, or is told by name.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/dovecot.sh"
. "$(dirname "$0")/faulty_imap.sh"
here=$(dirname "$0")
dovecot_certificates
ca=$box/tls/ca.pem server=''
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; chmod -R u+rwx "$box" 2>/dev/null; rm -rf "$box"' EXIT
echo secret >"$box/pw"
export MAILHOLD_TARGET_PASSWORD_FILE=$box/pw

mkdir -p "$box/Maildir"/{cur,new,tmp} "$box/Maildir/.Work"/{cur,new,tmp}
for i in $(seq 300); do
	printf 'Message-ID: <%d@example.org>\r\nSubject: s%03d\r\n\r\nbody %d\r\n' "$i" "$i" "$i" >"$box/Maildir/cur/17000$((10000 + i)).M${i}P1.h:2,S"
done
for i in $(seq 5); do # alike, and without a Message-ID
	printf 'Subject: twin\r\n\r\ntwin\r\n' >"$box/Maildir/.Work/cur/1700020000.T${i}P1.h:2,F"
done
printf 'Subject: large\r\n\r\n%s' "$(yes 0123456789abcdef | head -200000 | tr '\n' '\r' | sed 's/\r/\r\n/g')" >"$box/Maildir/.Work/cur/1700030000.L1P1.h:2,"
touch -d '2023-11-14 22:13:20 UTC' "$box/Maildir"/cur/* "$box/Maildir/.Work/cur"/*
run 0 init
run 0 snapshot --account ann "$box/Maildir"

restore() # CODE OPTIONS…
{
	local code=$1
	shift
	run "$code" restore latest --to "$url" --target-ca "$ca" "$@"
}
holds() # COUNT: so many messages, none of the numbered ones twice
{
	[ "$(wc -l <"$box/dump")" = "$1" ] || die "the server holds $(wc -l <"$box/dump") messages, not $1"
	cut -f1,6 "$box/dump" | grep -v 'twin\|^Work' | sort | uniq -d | head -3 | grep . && die "a message is there twice"
	true
}

# Without faults, with all that may be missing: what is put is found again, also without the journal.
for faults in no-fault "no-literal-plus no-multiappend" "no-multiappend no-uidplus" "no-literal-plus" "no-uidplus"; do
	# shellcheck disable=SC2086 # a list of words
	start $faults
	restore 0 --verify full
	says 'restored 306 items'
	says 'every byte of 306: all as they should be'
	restore 0
	says 'restored 0 items'
	rm -rf "$box/state"
	restore 0 --into .
	says 'restored 0 items'
	stop
	holds 306
	grep -qP '^Work\t\d+\t\\Flagged\t14-Nov-2023 22:13:20 \+0000\t\d+\ttwin$' "$box/dump" || die "flags or date: $(grep twin "$box/dump")"
done

# One message is refused: it alone is told; twice the same.
for faults in "refuse=s123" "refuse=s123 half" "refuse=s123 no-multiappend no-literal-plus"; do
	# shellcheck disable=SC2086
	start $faults
	restore 3
	says '1 failed'
	hints 'INBOX#1700010123.M123P1.h'
	hints 'smells'
	restore 3
	says 'restored 0 items'
	stop
	holds 305
done

# Answers that never come, connections that end in the middle, servers that want to be asked later.
for faults in "lose=1" "lose=2 no-uidplus" "bye=1" "bye=2 no-literal-plus no-multiappend" "throttle=2" "lose=1 rewrite"; do
	# shellcheck disable=SC2086
	start $faults
	restore 0 --verify none
	says 'restored 306 items'
	restore 0 --verify none
	says 'restored 0 items'
	stop
	holds 306
done

# Too large is told before it is sent; a full mailbox ends the run, and the next one goes on.
start limit=100000
restore 3 --plan
says 'failed'
says 'takes at most'
restore 3
hints 'takes at most 97.7 KiB'
stop
holds 305
start quota=290
restore 1
hints 'the mailbox is full'
stop
holds 290

# A folder that cannot be made costs its own items only. Keywords that are not kept are counted.
start deny=Work no-keywords
restore 3
says '6 failed'
hints 'not here'
stop
holds 300
printf '0 Important\n' >"$box/Maildir/dovecot-keywords"
mv "$box/Maildir/cur/1700010001.M1P1.h:2,S" "$box/Maildir/cur/1700010001.M1P1.h:2,Sa"
run 0 snapshot --account ann "$box/Maildir"
start no-keywords
restore 0
says '1 lost keywords'
stop
holds 306

# What the server makes of the bytes is told when they are read back; what the journal knows is not put again.
start rewrite
restore 3 --verify full
hints 'the server keeps other bytes than it was given'
says '306 differ from what was put'
restore 0
says 'restored 0 items'
restore 0 --undo
says 'took 306 messages and 1 empty folders'
stop
holds 0
