# Cyrus as a source of calendars and contacts, with another program's eyes: everything, then only what changed, byte for byte.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/dovecot.sh"
. "$(dirname "$0")/cyrus.sh"
. "$(dirname "$0")/dav_servers.sh"
cyrus_with_dav=yes
trap 'cyrus_stop; chmod -R u+rwx "$box" 2>/dev/null; rm -rf "$box"' EXIT
dovecot_certificates
cyrus_start || if [ -n "${MAILHOLD_TEST_NO_SKIP:-}" ]; then die "Cyrus is not installed"; else skip "Cyrus is not installed"; fi
cyrus_user alice
echo secret >"$box/pw"
export MAILHOLD_SOURCE_PASSWORD_FILE=$box/pw
url=davs://alice@127.0.0.1:$cyrus_https_port
dav_at=https://127.0.0.1:$cyrus_https_port
init

# The account's folders are made at its first login by IMAP, its calendars when they are first asked for.
python3 - "$cyrus_plain_port" <<'END' || die "no login"
import imaplib, sys
imaplib.IMAP4("127.0.0.1", int(sys.argv[1])).login("alice", "secret")
END
run 0 snapshot --source-ca "$box/tls/ca.pem" "$url"
says '0 items'

dav make /dav/calendars/user/alice/work/ calendar "Work & Co" VEVENT
dav make /dav/calendars/user/alice/todo/ calendar Tasks VTODO
dav fill /dav/calendars/user/alice/work/ event 1 120
dav fill /dav/calendars/user/alice/todo/ task 1 5
dav fill /dav/addressbooks/user/alice/Default/ contact 1 20

same()
{
	rm -rf "$box/want" "$box/got"
	dav dump /dav/calendars/user/alice/work/ "$box/want/calendars/work"
	dav dump /dav/calendars/user/alice/todo/ "$box/want/calendars/todo"
	dav dump /dav/addressbooks/user/alice/Default/ "$box/want/contacts/Default"
	run 0 restore alice@latest --to "files:$box/got"
	find "$box/got" -type d -empty -delete
	same_tree "$box/want" "$box/got"
}

run 0 snapshot --source-ca "$box/tls/ca.pem" "$url"
says '145 items'
run 0 ls alice@latest
says 'task           calendars/todo'
says 'contact        contacts/Default'
same
run 0 snapshot --source-ca "$box/tls/ca.pem" "$url"
says 'nothing changed'

dav fill /dav/calendars/user/alice/work/ event 500 4
dav delete /dav/calendars/user/alice/work/event-7.ics
dav delete /dav/addressbooks/user/alice/Default/contact-3.vcf
dav delete /dav/calendars/user/alice/todo/
run 0 snapshot --source-ca "$box/tls/ca.pem" "$url"
says '4 new'
rm -rf "$box/want" "$box/got"
dav dump /dav/calendars/user/alice/work/ "$box/want/calendars/work"
dav dump /dav/addressbooks/user/alice/Default/ "$box/want/contacts/Default"
run 0 restore alice@latest --to "files:$box/got"
find "$box/got" -type d -empty -delete
same_tree "$box/want" "$box/got"

# The same account made anew: other UIDVALIDITY, other tokens; what is there is what is kept.
dav delete /dav/calendars/user/alice/work/
dav make /dav/calendars/user/alice/work/ calendar "Work again" VEVENT
dav fill /dav/calendars/user/alice/work/ event 3 2
run 0 snapshot --source-ca "$box/tls/ca.pem" "$url"
rm -rf "$box/got"
run 0 restore alice@latest --to "files:$box/got"
[ "$(find "$box/got/calendars/work" -type f | wc -l)" = 2 ] || die "a calendar made anew has what the old one had"
run 0 check --read-data
