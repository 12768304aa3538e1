# Mail given back to an IMAP server: the plan first, everything as it was, nothing twice, nothing of the user's touched.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/dovecot.sh"
dovecot_start
echo secret >"$box/pw"
export MAILHOLD_SOURCE_PASSWORD_FILE=$box/pw MAILHOLD_TARGET_PASSWORD_FILE=$box/pw
here=$(dirname "$0")
count()
{
	dump "$@" | wc -l
}
same_account() # OPTIONS FOR alice -- OPTIONS FOR the other
{
	dump alice >"$box/want"
	dump "$@" >"$box/have"
	cmp -s "$box/want" "$box/have" || die "the accounts differ: $(diff "$box/want" "$box/have" | head -5)"
}

# An account filled by an independent client: levels, names, flags, keywords, dates with zones, twins, odd bytes, a large one.
cat >"$box/fill.py" <<'END2'
import imaplib, ssl, sys
box = imaplib.IMAP4_SSL("127.0.0.1", int(sys.argv[2]), ssl_context=ssl.create_default_context(cafile=sys.argv[1]))
box.login(sys.argv[3], "secret")
def put(folder, flags, date, body):
    code, text = box.append(folder, flags, date, body)
    assert code == "OK", text
for folder in ("Work", "Work/2024", "Entw&APw-rfe", '"R&-D 100%"'.replace("%", ""), "Gel&APY-scht"):
    assert box.create(folder)[0] == "OK"
for i in range(60):
    put("INBOX", "(\\Seen $Label)" if i % 3 else "(\\Flagged \\Answered)" if i % 2 else None,
        '"%2d-Feb-2024 10:11:%02d +0130"' % (i % 28 + 1, i),
        b"From: a@example.org\r\nMessage-ID: <%d@example.org>\r\nSubject: number %d\r\n\r\n" % (i, i) + b"line %d\r\n" % i * (i * 20))
for i in range(3):  # the same three times over
    put("Work", "(\\Seen)", '" 1-Mar-2023 01:02:03 -0800"', b"Message-ID: <twin@example.org>\r\n\r\ntwin\r\n")
for i in range(5):  # no Message-ID, some of the same size and time
    put("Work/2024", None, '" 1-Mar-2023 01:02:03 +0000"', b"Subject: none\r\n\r\n%d\r\n" % (i % 3))
put("Entw&APw-rfe", "(\\Draft)", '"31-Dec-1999 23:59:59 +0000"', b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n\xff\x80 8 bit, no end")
put('"R&-D 100"', "(Junk NonJunk)", '"29-Feb-2024 12:00:00 +0000"', b"Message-ID:\r\n <folded@example.org>\r\n\r\nx\r\n" + b"y" * 5000 + b"\r\n")
put("Sent", None, '" 1-Jan-2024 00:00:00 +0000"', b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 200000)
box.logout()
END2
python3 "$box/fill.py" "$dovecot_ca" "$imaps_port" alice || die "the account was not filled"
run 0 init
run 0 snapshot --source-ca "$dovecot_ca" "$(at alice)"

# A plan sends nothing that changes anything, and says where things go.
mkdir -p "$dovecot_mail/bob/rawlog" && chmod -R 777 "$dovecot_mail/bob"
run 0 restore latest --to "$(at bob)" --target-ca "$dovecot_ca" --plan
says 'Sent → Sent'
says 'Work/2024 → Work/2024 (to be made)'
says 'would restore 71 items'
[ "$(count bob)" = 0 ] || die "a plan put something"
cat "$dovecot_mail/bob/rawlog/"*.in | grep -aE ' (APPEND|CREATE|SELECT|STORE|SUBSCRIBE|DELETE)' && die "a plan changes something"

# Into an empty account: in place, and the very same.
run 0 restore latest --to "$(at bob)" --target-ca "$dovecot_ca" --verify full
says 'restored 71 items'
says 'every byte of 71: all as they should be'
same_account bob
grep -qxF Work/2024 "$dovecot_mail/bob/Maildir/subscriptions" 2>/dev/null ||
	grep -qF 2024 "$dovecot_mail/bob/Maildir/subscriptions" || die "new folders are not subscribed to"

# The same again puts nothing; with the journal and the cache gone it still finds everything by what it is.
run 0 restore latest --to "$(at bob)" --target-ca "$dovecot_ca"
says 'restored 0 items'
says '71 were there already'
rm -rf "$box/state"
run 0 restore latest --to "$(at bob)" --target-ca "$dovecot_ca" --into .
says 'restored 0 items'
same_account bob

# What is missing comes back, the rest is left alone; what the user did meanwhile stays.
cat >"$box/lose.py" <<'END2'
import imaplib, ssl, sys
box = imaplib.IMAP4_SSL("127.0.0.1", int(sys.argv[2]), ssl_context=ssl.create_default_context(cafile=sys.argv[1]))
box.login("bob", "secret")
box.select("INBOX")
box.store("5:14", "+FLAGS", "(\\Deleted)")
box.expunge()
box.store("1", "FLAGS", "(\\Seen New)")
box.select("Work")
box.store("1:2", "+FLAGS", "(\\Deleted)")
box.expunge()
box.append("INBOX", None, None, b"Subject: new\r\n\r\nnew\r\n")
box.logout()
END2
python3 "$box/lose.py" "$dovecot_ca" "$imaps_port" || die "nothing was lost"
run 0 restore latest --to "$(at bob)" --target-ca "$dovecot_ca" --into . --plan
says 'would restore 12 items'
run 0 restore latest --to "$(at bob)" --target-ca "$dovecot_ca" --into . --json
says '"items_put":12'
says '"items_present":59'
[ "$(count bob)" = 72 ] || die "bob has $(count bob) messages, not 72"
run 0 restore latest --to "$(at bob)" --target-ca "$dovecot_ca" --into . --flags-only
says '1 got their flags back'
dump bob | grep -vF "$(printf '\t\t')" >"$box/flagged"
dump bob >"$box/have"
dump alice | comm -23 - "$box/have" | head -1 >"$box/lost"
[ ! -s "$box/lost" ] || die "lost: $(cat "$box/lost")"

# A mailbox that is not empty gets a new folder; a second run uses the same.
run 0 restore latest --to "$(at bob)" --target-ca "$dovecot_ca"
hints 'Restored 20'
says 'restored 71 items'
run 0 restore latest --to "$(at bob)" --target-ca "$dovecot_ca"
says 'restored 0 items'
folder=$(dump bob | grep -o '^Restored [0-9-]*' | head -1)
same_account bob --prefix "$folder/"

# Undo takes away what was put, and only that; what the user had or did since stays.
dump bob --prefix "$folder/" >"$box/ignored"
run 0 restore latest --to "$(at erin)" --target-ca "$dovecot_ca"
python3 "$box/fill.py" "$dovecot_ca" "$imaps_port" frank >"$box/out" 2>&1
dump frank >"$box/want"
run 0 restore latest --to "$(at frank)" --target-ca "$dovecot_ca" --include Work --into Back
run 0 restore latest --to "$(at frank)" --target-ca "$dovecot_ca"
[ "$(count frank)" = $((71 + 3 + 71)) ] || die "frank has $(count frank) messages"
run 0 restore latest --to "$(at frank)" --target-ca "$dovecot_ca" --undo --plan
says 'would take 74 messages and 8 empty folders'
[ "$(count frank)" = $((71 + 3 + 71)) ] || die "a plan took something away"
run 0 restore latest --to "$(at frank)" --target-ca "$dovecot_ca" --undo
says 'took 74 messages and 8 empty folders'
dump frank | cmp -s - "$box/want" || die "undo left something, or took too much"
grep -q Back "$dovecot_mail/frank/Maildir/subscriptions" && die "a folder that is gone is subscribed to"
run 1 restore latest --to "$(at frank)" --target-ca "$dovecot_ca" --undo
hints 'no restore of this snapshot'
run 0 restore latest --to "$(at erin)" --target-ca "$dovecot_ca" --undo
says 'took 71 messages'
[ "$(count erin)" = 0 ] || die "undo left something"

# One folder, one item, another name.
run 0 restore latest:Work/2024 --to "$(at carol)" --target-ca "$dovecot_ca" --map Work=Arbeit
[ "$(dump carol | cut -f1 | sort -u)" = Arbeit/2024 ] || die "it went to $(dump carol | cut -f1 | sort -u)"

# Mail of a Maildir, with LF, letters and keywords.
mkdir -p "$box/Maildir"/{cur,new,tmp} "$box/Maildir/.Sent Items"/{cur,new,tmp}
printf 'Message-ID: <1@x>\nSubject: local\n\nHello\n' >"$box/Maildir/cur/1700000001.M1P1.host:2,FSa"
printf 'Message-ID: <2@x>\r\nSubject: mixed\n\nHello\r\n' >"$box/Maildir/cur/1700000002.M2P1.host:2,RT"
printf 'Message-ID: <3@x>\nSubject: new\n\n' >"$box/Maildir/new/1700000003.M3P1.host"
printf 'Message-ID: <4@x>\nSubject: sent\n\nsent\n' >"$box/Maildir/.Sent Items/cur/1700000004.M4P1.host:2,PS"
touch -d '2023-11-14 22:13:20 UTC' "$box"/Maildir/*/17* "$box/Maildir/.Sent Items/cur/"*
printf '0 Important\n1 Later\n' >"$box/Maildir/dovecot-keywords"
run 0 snapshot "$box/Maildir" --account local
run 0 restore local@latest --to "$(at dave)" --target-ca "$dovecot_ca" --plan
says 'Sent%20Items → Sent (by its role)'
run 0 restore local@latest --to "$(at dave)" --target-ca "$dovecot_ca" --verify full
says '3 had LF at their line ends and have CRLF there'
dump dave | cut -f1-3 >"$box/have"
printf 'INBOX\t\t1700000000\nINBOX\tImportant \\Flagged \\Seen\t1700000000\nINBOX\t\\Answered \\Deleted\t1700000000\nSent\t$Forwarded \\Seen\t1700000000\n' |
	sort >"$box/want"
sort "$box/have" | cmp -s - "$box/want" || die "flags or dates: $(cat "$box/have")"
run 0 restore local@latest --to "$(at dave)" --target-ca "$dovecot_ca"
says 'restored 0 items'

# An account of the configuration is a target as well: its URL, its secret, its authority, its rate.
run 0 account add grace "$(at grace)" --source-ca "$dovecot_ca" --source-password-file "$box/pw"
run 0 restore alice@latest:Work --to grace
says "restored 3 items (120 B) to $(at grace)"
run 0 restore alice@latest:Work --to grace
says '3 were there already'
run 2 restore alice@latest:Work --to grace --target-ca "$dovecot_ca"
hints 'grace is an account of the configuration'
printf 'max-rate = 1M\n' >>"$box/config/mailhold/config"
start=$(date +%s%N)
run 0 restore alice@latest:Sent --to grace
[ $((($(date +%s%N) - start) / 1000000)) -gt 2500 ] || die "an account's rate is not kept at a restore"
run 0 restore alice@latest --to grace --undo
says 'took 4 messages'

# Refusals that say what to do; the source's password is never shown to the target.
unset MAILHOLD_TARGET_PASSWORD_FILE
run 2 restore latest --to "$(at bob)" --target-ca "$dovecot_ca"
run 2 restore latest --to "imaps://127.0.0.1:$imaps_port"
hints 'names no user'
run 2 restore latest --to "$box/files" --flags-only
hints 'a restore to a server'
