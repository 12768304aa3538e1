# A mailbox at a real IMAP server: taken byte for byte, then only what changed, nothing at the server is touched.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/dovecot.sh"
dovecot_start
echo secret >"$box/pw"
export MAILHOLD_SOURCE_PASSWORD_FILE=$box/pw

# Mail gets there by an independent client.
cat >"$box/client.py" <<'END'
import imaplib, ssl, sys, hashlib
context = ssl.create_default_context(cafile=sys.argv[1])
box = imaplib.IMAP4_SSL("127.0.0.1", int(sys.argv[2]), ssl_context=context)
box.login("alice", "secret")
def put(folder, flags, date, body):
    code, text = box.append(folder, flags, date, body)
    assert code == "OK", text
if sys.argv[3] == "fill":
    box.create("Entw&APw-rfe/2024")
    for i in range(40):
        put("INBOX", "(\\Seen $Label)" if i % 3 else None, '"%2d-Feb-2024 10:11:12 +0130"' % (i % 28 + 1),
            b"From: a@example.org\r\nSubject: number %d\r\n\r\n" % i + b"line %d\r\n" % i * (i * 50))
    put("Entw&APw-rfe/2024", "(\\Draft)", None, b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n\xff\x80 8 bit, no end")
    put("Sent", None, None, b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 200000)
elif sys.argv[3] == "change":
    box.select("INBOX")
    box.store("1", "+FLAGS", "(\\Flagged)")
    box.store("2", "+FLAGS", "(\\Deleted)")
    box.expunge()
    put("INBOX", None, None, b"Subject: new\r\n\r\nnew\r\n")
elif sys.argv[3] == "move":
    box.rename("Entw&APw-rfe/2024", "Renamed")
    box.select("INBOX")
    box.copy("3:12", "Sent")
    box.store("3:12", "+FLAGS", "(\\Deleted)")
    box.expunge()
elif sys.argv[3] == "dump": # everything, as sorted lines: folder, flags, date, hash
    lines = []
    for folder in ("INBOX", "Sent", "Entw&APw-rfe/2024"):
        box.select(folder, readonly=True)
        code, data = box.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")
        for part in data:
            if isinstance(part, tuple):
                lines.append("%s %s" % (folder, hashlib.sha256(part[1]).hexdigest()))
    print("\n".join(sorted(lines)))
box.logout()
END
client()
{
	python3 "$box/client.py" "$dovecot_ca" "$imaps_port" "$@" || die "the other client failed"
}
client fill
mkdir "$dovecot_mail/alice/rawlog" && chmod 777 "$dovecot_mail/alice/rawlog"

run 0 init
run 0 snapshot --source-ca "$dovecot_ca" "$imap_url" --json
says '"account":"alice"'
says '"items_new":42'
run 0 ls latest
says 'Entwürfe/2024'
run 0 ls latest:INBOX
says 'number 39'

# What came is what the other client reads: restored to files and hashed.
run 0 restore latest --to "files:$box/back"
client dump | sed 's/.* //' | sort >"$box/want"
find "$box/back" -name '*.eml' -exec sha256sum {} + | sed 's/ .*//' | sort >"$box/got"
[ "$(wc -l <"$box/want")" = 42 ] || die "the other client sees $(wc -l <"$box/want") mails"
cmp "$box/want" "$box/got" || die "other bytes came back"

# Nothing moved: no folder is opened.
rm -f "$dovecot_mail/alice/rawlog/"*
run 0 snapshot --source-ca "$dovecot_ca" "$imap_url"
says 'nothing changed'
grep -h EXAMINE "$dovecot_mail/alice/rawlog/"*.in && die "a folder was opened for nothing"

# One folder changed: it is opened, the others are not, and one body is fetched.
client change
rm -f "$dovecot_mail/alice/rawlog/"*
run 0 snapshot --source-ca "$dovecot_ca" "$imap_url" --json
says '"items_new":1'
says '"items_removed":1'
says '"items_state_changed":1'
[ "$(cat "$dovecot_mail/alice/rawlog/"*.in | grep -a -c EXAMINE)" = 1 ] || die "not one folder was opened"
run 0 deleted --since 7d
says 'number 1'

# What moved, or whose folder got another name, is not fetched again. The copies carry the same date.
client move
rm -f "$dovecot_mail/alice/rawlog/"*
run 0 snapshot --source-ca "$dovecot_ca" "$imap_url" --json
says '"items_moved":11'
says '"items_new":0'
says '"bytes_read":0'
grep -ha 'FETCH.*BODY.PEEK\[\]' "$dovecot_mail/alice/rawlog/"*.in && die "a body was fetched again"
grep -qa 'BODY.PEEK\[HEADER\]' "$dovecot_mail/alice/rawlog/"*.in || die "no header was looked at"
run 0 restore latest --to "files:$box/moved"
find "$box/moved" -name '*.eml' -exec sha256sum {} + | sed 's/ .*//' | sort >"$box/got"
sed -i 's/("INBOX", "Sent", "Entw&APw-rfe\/2024")/("INBOX", "Sent", "Renamed")/' "$box/client.py"
client dump | sed 's/.* //' | sort >"$box/want"
cmp "$box/want" "$box/got" || die "other bytes came back after moving"

# A folder whose UIDVALIDITY is another one is the same folder: nothing of it is fetched again.
doveadm -c "$box/d/conf" mailbox update -u alice --uid-validity 4711 INBOX || die "doveadm"
run 0 snapshot --source-ca "$dovecot_ca" "$imap_url" --json
says '"items_moved":30'
says '"bytes_read":0'

# A line that is compressed says the same.
run 0 snapshot --no-parent --source-compress always --source-ca "$dovecot_ca" "$imap_url" --json
says '"items_new":42'

# Whatever was sent to the server in all runs only read.
grep -hoaE '^[0-9.]* ?A[0-9]+ [A-Z]+( (FETCH|SEARCH))?|^A[0-9]+ [A-Z]+( FETCH)?' "$dovecot_mail/alice/rawlog/"*.in |
	grep -vE ' (CAPABILITY|ENABLE|LIST|STATUS|EXAMINE|UID FETCH|LOGOUT|NOOP|AUTHENTICATE)$' && die "another command was sent"
grep -ha 'FETCH' "$dovecot_mail/alice/rawlog/"*.in | grep -a 'BODY\[' && die "a body was fetched without PEEK"

# STARTTLS; refusals that say what to do; passwords stay out of sight.
run 0 snapshot --source-ca "$dovecot_ca" "imap://alice@127.0.0.1:$imap_port"
says 'nothing changed'
run 1 snapshot "$imap_url"
hints 'certificate is not good'
run 2 snapshot "imaps://alice:secret@127.0.0.1:$imaps_port"
hints 'password in the URL'
echo wrong >"$box/pw2"
run 1 snapshot --source-password-file "$box/pw2" --source-ca "$dovecot_ca" "$imap_url"
hints 'refuses the login'
run 2 snapshot "imaps://127.0.0.1:$imaps_port"
hints 'names no user'
dovecot_stop
run 1 snapshot --source-ca "$dovecot_ca" "$imap_url"
hints 'cannot connect'
