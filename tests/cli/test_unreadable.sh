# One mail that cannot be read stops one mail: it is told, the rest is kept, and the exit code is 3.
. "$(dirname "$0")/lib.sh"
mails=$box/ann/Maildir
maildir "$mails"
chmod 000 "$mails/cur/1700000002.M2P1.host:2,FS"
if [ "$(id -u)" = 0 ]; then
	command -v setpriv >/dev/null || skip "root reads everything and there is no setpriv"
	chown -R 65534:65534 "$box"
	program=$MAILHOLD
	setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$program" || skip "nobody cannot run the program"
	cat >"$box/as_nobody" <<-END
		#!/bin/sh
		exec setpriv --reuid 65534 --regid 65534 --clear-groups "$program" "\$@"
	END
	chmod 755 "$box/as_nobody"
	MAILHOLD=$box/as_nobody
fi
init
run 3 snapshot "$mails"
hints "skipped "
hints "1700000002.M2P1.host"
hints "ermission denied"
says "3 items"
says "1 skipped"
run 0 snapshots
says "gaps"
run 3 --json snapshot "$mails"
hints '{"skipped":{"what":'
chmod 600 "$mails/cur/1700000002.M2P1.host:2,FS"
run 0 snapshot "$mails"
says "4 items"
run 0 restore latest --to "$box/back"
same_tree "$mails" "$box/back"
echo "ok"
