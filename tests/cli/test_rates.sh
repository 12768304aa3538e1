# Rates and quiet hours: what is asked for is kept; accounts in their quiet hours wait for the next run, and are no failure.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/dovecot.sh"
dovecot_mechanisms="plain login"
dovecot_start
echo secret >"$box/pw"
export MAILHOLD_SOURCE_PASSWORD_FILE=$box/pw
python3 - "$dovecot_ca" "$imaps_port" <<'END' || die "the other client failed"
import imaplib, random, ssl, sys
box = imaplib.IMAP4_SSL("127.0.0.1", int(sys.argv[2]), ssl_context=ssl.create_default_context(cafile=sys.argv[1]))
box.login("alice", "secret")
for i in range(10):
    body = b"".join(b"%016x\r\n" % random.getrandbits(64) for _ in range(2000))
    assert box.append("INBOX", None, None, b"Subject: %d\r\n\r\n" % i + body)[0] == "OK"
box.logout()
END
run 0 init

# 360 kB at 150 kB a second take at least 1.9 s, also over several connections.
begun=$(date +%s%N)
run 0 snapshot --source-ca "$dovecot_ca" --max-rate 150K "$imap_url"
took=$((($(date +%s%N) - begun) / 1000000))
[ "$took" -ge 1700 ] || die "it took $took ms"
says "10 new"
run 2 snapshot --max-rate 0 "$imap_url"
hints "a rate is bytes a second"
run 2 snapshot --max-rate 5X "$imap_url"

# Quiet hours that are now, and others. Another day begins in between at worst.
at() { date -d "@$(($(date +%s) + $1))" +%H:%M; }
now=$(at -120)-$(at 1800) later=$(at 7200)-$(at 10800)
maildir "$box/ann/Maildir"
maildir "$box/bob/Maildir"
run 0 account add ann "$box/ann/Maildir"
run 0 account add bob "$box/bob/Maildir"
printf '\tquiet-hours = %s\n\tmax-rate = 1M\n' "$now" >>"$box/config/mailhold/config"
run 0 snapshot --all
says "quiet hours"
says "2 accounts: 1 complete, 1 in their quiet hours; head "
hints "bob: its quiet hours"
run 1 ls bob@latest
run 0 snapshot --all --json
says '"complete":1,"incomplete":0,"failed":0,"not_begun":0,"quiet":1'
run 0 snapshot --all --quiet-hours "$later"
says "2 accounts: 2 complete"
run 0 snapshot ann --quiet-hours "$now"
hints "ann: its quiet hours"
run 2 snapshot ann --quiet-hours 8-18
hints "quiet hours are written 08:00-18:00"
echo ok
