# Accounts at a server: secrets by command, file, keyring and prompt; certificates; many accounts at once, byte for byte.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/dovecot.sh"
dovecot_mechanisms="plain login scram-sha-256"
dovecot_start
at=127.0.0.1:$imaps_port
config=$box/config/mailhold/config
echo secret >"$box/pw"

# A keyring of our own: strict about what it is asked, keeps each password in a file.
mkdir "$box/bin" "$box/ring"
cat >"$box/bin/secret-tool" <<END
#!/bin/sh
case "\$1 \$2" in
"lookup service") [ "\$#" = 5 ] && [ "\$3 \$4" = "mailhold account" ] && cat "$box/ring/\$5" 2>/dev/null ;;
"store --label") [ "\$#" = 7 ] && [ "\$4 \$5 \$6" = "service mailhold account" ] && cat >"$box/ring/\$7" ;;
"clear service") [ "\$#" = 5 ] && [ "\$3 \$4" = "mailhold account" ] && rm -f "$box/ring/\$5" ;;
*) exit 9 ;;
esac
END
chmod +x "$box/bin/secret-tool"
run 0 init

# Each way of keeping the secret; what does not log in is not added.
add() { run "$1" account add "${@:2}" --source-ca "$dovecot_ca"; }
add 0 u1 "imaps://u1@$at" --source-password-command "cat $box/pw"
says "u1: works, "
add 0 u2 "imaps://u2@$at" --source-password-file "$box/pw" --source-auth plain
PATH=$box/bin:$PATH MAILHOLD_SOURCE_PASSWORD_FILE=$box/pw add 0 u3 "imaps://u3@$at" --keyring
[ "$(cat "$box/ring/u3")" = secret ] || die "the keyring does not have it"
MAILHOLD_SOURCE_PASSWORD_FILE=$box/pw add 0 u4 "imap://u4@127.0.0.1:$imap_port" --password-in-file
[ "$(stat -c %a "$config")" = 600 ] || die "the configuration can be read by others"
[ "$(grep -c 'secret' "$config")" = 1 ] || die "a password got into the configuration that was not to"
add 1 u5 "imaps://u5@$at" --source-password-command "echo wrong"
hints "it was not added"
add 2 u5 "imaps://u5@$at" --keyring --source-password-file "$box/pw"
add 2 u5 "imaps://u5@$at" --source-auth odd --source-password-file "$box/pw"
run 2 account add u5 "imaps://u5:geheim@$at"
case $err in *geheim*) die "the password is told" ;; esac
grep -q u5 "$config" && die "u5 was added"
run 2 account add u5 "imaps://u5@$at"
hints "no terminal to ask on"
PATH=$box/bin:$PATH run 0 account test --all
run 1 account test u3
hints "libsecret-tools"
run 0 account list
for words in "password command" "password file" "keyring" "in the configuration"; do says "$words"; done

# One certificate that is good, whoever signed it.
pin=$(openssl x509 -in "$box/tls/server.pem" -noout -fingerprint -sha256 | sed 's/.*=//')
run 0 account add u6 "imaps://u6@$at" --source-fingerprint "$pin" --source-password-file "$box/pw"
other=$(printf '%s' "$pin" | tr 0-9A-F 1-9A-F0)
run 1 account add u7 "imaps://u7@$at" --source-fingerprint "SHA256:$other" --source-password-file "$box/pw"
hints "is not the pinned one"
hints "$(printf '%s' "$pin" | tr -d : | tr A-F a-f)"
run 2 account add u7 "imaps://u7@$at" --source-fingerprint 12:34 --source-password-file "$box/pw"
run 2 account add u7 "imaps://u7@$at" --source-fingerprint "$pin" --source-ca "$dovecot_ca" --source-password-file "$box/pw"
run 0 snapshot "imap://u7@127.0.0.1:$imap_port" --source-fingerprint "$pin" --source-password-file "$box/pw"

# Without TLS: only where it is said, and only to this machine.
run 2 snapshot "imaps://u7@$at" --source-tls off --source-password-file "$box/pw"
run 0 snapshot "imap://u8@127.0.0.1:$imap_port" --source-tls off --source-password-file "$box/pw"
grep 'Login: user=<u8>' "$box/d/log" | grep -q TLS && die "it was with TLS"
run 2 snapshot "imap://u8@127.0.0.1:$imap_port" --source-tls perhaps --source-password-file "$box/pw"

# Many at once: everybody has the same large mail and mails of their own.
cat >"$box/client.py" <<'END'
import hashlib, imaplib, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
def opened(user):
    box = imaplib.IMAP4_SSL("127.0.0.1", int(sys.argv[2]), ssl_context=context)
    box.login(user, "secret")
    return box
def fill(user):
    box = opened(user)
    for i in range(30):
        body = b"Subject: %d of %s\r\n\r\n" % (i, user.encode()) + b"line of %s\r\n" % user.encode() * (i * 40)
        assert box.append("INBOX", None, None, body)[0] == "OK"
    large = b"".join(b"%d shared\r\n" % n for n in range(60000))
    assert box.append("Sent", None, None, b"Subject: to all\r\n\r\n" + large)[0] == "OK"
    box.logout()
def dump(user):
    box = opened(user)
    hashes = []
    for folder in ("INBOX", "Sent"):
        box.select(folder, readonly=True)
        for part in box.fetch("1:*", "(BODY.PEEK[])")[1]:
            if isinstance(part, tuple):
                hashes.append(hashlib.sha256(part[1]).hexdigest())
    print("\n".join(sorted(hashes)))
    box.logout()
for user in sys.argv[4:]:
    fill(user) if sys.argv[3] == "fill" else dump(user)
END
client() { python3 "$box/client.py" "$dovecot_ca" "$imaps_port" "$@" || die "the other client failed"; }
client fill u1 u2 u4 u6
PATH=$box/bin:$PATH run 0 snapshot --all --jobs 4
says "5 accounts: 5 complete; head "
head=$(printf '%s\n' "$out" | sed -n 's/.*head //p')
run 0 check --read-data --expect-head "$head"
for user in u1 u2 u4 u6; do
	run 0 restore "$user@latest" --to "maildir:$box/back/$user"
	client dump "$user" >"$box/want"
	find "$box/back/$user" \( -path '*/cur/*' -o -path '*/new/*' \) -type f -exec sha256sum {} + | sed 's/ .*//' | sort >"$box/got"
	[ "$(wc -l <"$box/want")" = 31 ] || die "$user has $(wc -l <"$box/want") mails"
	cmp "$box/want" "$box/got" || die "other bytes came back for $user"
done
PATH=$box/bin:$PATH run 0 snapshot --all --jobs 8 --json
[ "$(printf '%s\n' "$out" | grep -c '"items_new":0,')" = 5 ] || die "something is new"

# One account, several sources: mail at the server and a folder of files, in one snapshot; each goes on from where it was.
mkdir -p "$box/more/Termine" "$box/more/Adressen"
printf 'BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:choir\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n' >"$box/more/Termine/1.ics"
printf 'BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Bob\r\nEND:VCARD\r\n' >"$box/more/Adressen/bob.vcf"
cp "$config" "$box/several"
printf '[account "all"]\nsource = imaps://u2@%s\nsource = files:%s\nca = %s\npassword-file = %s\n' "$at" "$box/more" "$dovecot_ca" "$box/pw" >>"$box/several"
run 0 snapshot all --config "$box/several"
says "snapshot"
says "of all: 33 items"
run 0 ls all@latest
says 'event           files/Termine'
says ' INBOX'
run 0 snapshot all --config "$box/several"
says "nothing changed"
printf 'BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Carol\r\nEND:VCARD\r\n' >"$box/more/Adressen/carol.vcf"
rm "$box/more/Termine/1.ics"
run 0 snapshot all --config "$box/several" --json
says '"items_new":1,'
says '"items_removed":1,'
says '"items_unchanged":32'
run 0 restore all@latest:files/Adressen --to "files:$box/cards"
find "$box/cards" -name carol.vcf -exec cmp {} "$box/more/Adressen/carol.vcf" \; | grep . && die "other bytes came back"
[ "$(find "$box/cards" -type f | wc -l)" = 2 ] || die "not both cards came back"
run 0 restore all@latest --exclude 'files/*' --to "maildir:$box/back/all"
client dump u2 >"$box/want"
find "$box/back/all" \( -path '*/cur/*' -o -path '*/new/*' \) -type f -exec sha256sum {} + | sed 's/ .*//' | sort | cmp - "$box/want" || die "other mail came back"
run 0 account list --config "$box/several"
says "and 1 more"
# Without one of them there is no snapshot, which would look like a loss.
mv "$box/more" "$box/gone"
run 1 snapshot all --config "$box/several"
hints "cannot find"
run 0 snapshots --account all --json
[ "$(printf '%s\n' "$out" | grep -o '"id"' | wc -l)" = 3 ] || die "a snapshot of half of an account was taken"

# A server that is gone: told for each; u1 goes on to be a Maildir in the same run.
maildir "$box/v1/Maildir"
run 0 account add v1 "$box/v1/Maildir"
dovecot_stop
PATH=$box/bin:$PATH run 1 snapshot --all --jobs 3
says "6 accounts: 1 complete, 5 failed; head "
hints "cannot connect"
echo ok
