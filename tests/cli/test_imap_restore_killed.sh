# A restore to a server is killed again and again, with its journal and without: in the end every message is there once.
seed=${MAILHOLD_TEST_SEED:-1}
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/dovecot.sh"
dovecot_start
here=$(dirname "$0")
echo secret >"$box/pw"
export MAILHOLD_TARGET_PASSWORD_FILE=$box/pw
echo "seed $seed"
RANDOM=$((seed % 32768))

mkdir -p "$box/Maildir"/{cur,new,tmp} "$box/Maildir/.A.B"/{cur,new,tmp} "$box/Maildir/.C"/{cur,new,tmp}
python3 - "$box/Maildir" <<'END2' || die "no mail was made"
import os, sys
root = sys.argv[1]
for folder, count in ((".", 900), (".A.B", 300), (".C", 300)):
    for i in range(count):
        path = "%s/%s/cur/1700%06d.%sP1.h:2,S" % (root, folder, i, folder.strip("."))
        with open(path, "wb") as f:
            f.write(b"" if i % 10 == 0 else b"Message-ID: <%d@%s>\r\n" % (i, folder.encode()))
            f.write(b"Subject: %d\r\n\r\n" % (i // 3 * 3) + b"line\r\n" * (i % 50))
        os.utime(path, (1700000000 + i % 7, 1700000000 + i % 7))
END2
run 0 init
run 0 snapshot --account ann "$box/Maildir"

# Without its journal a run cannot know that the server is still at what a killed one has left in its hands.
wait_for_server()
{
	rm -rf "$box/lost"
	for _ in $(seq 600); do
		doveadm -c "$box/d/conf" who -1 2>/dev/null | grep -q '^lost ' || return
		sleep 0.05
	done
	die "the server does not let go"
}
for journal in kept lost; do
	export XDG_STATE_HOME=$box/$journal
	rounds=0 code=1
	while [ "$code" != 0 ]; do
		"$MAILHOLD" restore latest --to "imaps://$journal@127.0.0.1:$imaps_port" --target-ca "$dovecot_ca" --into . \
			>"$box/out" 2>"$box/err" </dev/null &
		pid=$!
		if [ "$rounds" -lt 12 ]; then
			sleep "0.$(printf '%03d' $((RANDOM % 250 + 20)))"
			kill -9 "$pid" 2>/dev/null
		fi
		wait "$pid" 2>/dev/null
		code=$?
		[ "$journal" = kept ] || wait_for_server
		rounds=$((rounds + 1))
		[ "$rounds" -le 13 ] || die "it ends with $code: $(cat "$box/err")"
	done
	grep -q 'all as they should be\|restored 0 items' "$box/out" || die "$(cat "$box/out")"
	python3 "$here/imap_dump.py" "$imaps_port" "$journal" --ca "$dovecot_ca" >"$box/have" || die "the other client failed"
	[ "$(wc -l <"$box/have")" = 1500 ] || die "$(wc -l <"$box/have") messages after $rounds rounds with the journal $journal"
	[ "$journal" = kept ] || cmp "$box/have" "$box/first" || die "other messages than with the journal"
	mv "$box/have" "$box/first"
done
export XDG_STATE_HOME=$box/kept
# What it all was: folders, flags, dates and bytes, from the files themselves.
python3 - "$box/Maildir" <<'END2' | sort >"$box/want"
import glob, hashlib, os, sys
for folder, shown in ((".", "INBOX"), (".A.B", "A/B"), (".C", "C")):
    for path in glob.glob("%s/%s/cur/*" % (sys.argv[1], folder)):
        body = open(path, "rb").read()
        print("%s\t\\Seen\t%d\t%s" % (shown, os.stat(path).st_mtime, hashlib.sha256(body).hexdigest()))
END2
LC_ALL=C sort "$box/want" >"$box/want.sorted"
LC_ALL=C sort "$box/first" | cmp - "$box/want.sorted" || die "what is there is not what there was"

# The journal of a killed run knows what to take away.
run 0 restore latest --to "imaps://kept@127.0.0.1:$imaps_port" --target-ca "$dovecot_ca" --undo
says 'took 1,500 messages'
[ "$(python3 "$here/imap_dump.py" "$imaps_port" kept --ca "$dovecot_ca" | wc -l)" = 0 ] || die "something is left"
