# Radicale and Xandikos as sources: everything, then only what changed; each item as an independent client gets it.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/dovecot.sh"
. "$(dirname "$0")/dav_servers.sh"
radicale_start
trap 'dav_stop; chmod -R u+rwx "$box" 2>/dev/null; rm -rf "$box"' EXIT
xandikos_start
echo secret >"$box/pw"
export MAILHOLD_SOURCE_PASSWORD_FILE=$box/pw
ca="--source-ca $box/tls/ca.pem"
init

# What the snapshot restores is what the independent client gets.
same()
{
	local account=$1 pair
	shift
	rm -rf "$box/want" "$box/got"
	for pair in "$@"; do
		dav dump "${pair#*=}" "$box/want/${pair%%=*}"
	done
	run 0 restore "$account@latest" --to "files:$box/got"
	same_tree "$box/want" "$box/got"
}
requests()
{
	grep -c 'request for' "$radicale_log"
}

dav_at=$radicale_url
dav make /alice/work/ calendar "Work & Co" VEVENT
dav make /alice/todo/ calendar Tasks VTODO
dav make /alice/people/ addressbook People
dav fill /alice/work/ event 1 24
dav fill /alice/todo/ task 1 3
dav fill /alice/people/ contact 1 12

# shellcheck disable=SC2086
run 0 snapshot $ca "davs://alice@127.0.0.1:$radicale_port"
says '39 items'
run 0 ls alice@latest
says 'task           calendars/todo'
says 'event          calendars/work'
says 'contact        contacts/people'
same alice calendars/work=/alice/work/ calendars/todo=/alice/todo/ contacts/people=/alice/people/
run 0 find 'Lunch 17'
says 'event-17.ics'

# Nothing moved: one request for the home, and those that find it.
before=$(requests)
# shellcheck disable=SC2086
run 0 snapshot $ca "davs://alice@127.0.0.1:$radicale_port"
says 'nothing changed'
[ $(($(requests) - before)) -le 5 ] || die "nothing changed, and there were $(($(requests) - before)) requests"
# With the home in the URL, that is all.
before=$(requests)
# shellcheck disable=SC2086
run 0 snapshot $ca --account home "davs://alice@127.0.0.1:$radicale_port/alice/"
before=$(requests)
# shellcheck disable=SC2086
run 0 snapshot $ca --account home "davs://alice@127.0.0.1:$radicale_port/alice/"
says 'nothing changed'
[ $(($(requests) - before)) -le 3 ] || die "nothing changed, and there were $(($(requests) - before)) requests"

# Changed, new, deleted, with a name that has to be encoded.
dav fill /alice/work/ event 200 2
printf 'BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:%s\r\nDTSTAMP:20261122T201500Z\r\nDTSTART:20261122T201500Z\r\nSUMMARY:Moved\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n' \
	event-9@example.org >"$box/changed.ics"
dav put /alice/work/event-9.ics "$box/changed.ics"
sed 's/event-9@/other@/' "$box/changed.ics" >"$box/odd.ics"
dav put "/alice/work/a%20%C3%BC%2Bb.ics" "$box/odd.ics"
dav delete /alice/work/event-7.ics
dav delete /alice/people/contact-7.vcf
before=$(requests)
# shellcheck disable=SC2086
run 0 snapshot $ca "davs://alice@127.0.0.1:$radicale_port"
says '3 new, 1 changed, 2 removed'
[ $(($(requests) - before)) -le 10 ] || die "for six changes there were $(($(requests) - before)) requests"
same alice calendars/work=/alice/work/ calendars/todo=/alice/todo/ contacts/people=/alice/people/
run 0 deleted --account alice
says 'event-7.ics'
# A full look at everything finds nothing else.
mv "$box/want" "$box/wanted"
# shellcheck disable=SC2086
run 0 snapshot $ca --rescan "davs://alice@127.0.0.1:$radicale_port"
rm -rf "$box/got"
run 0 restore alice@latest --to "files:$box/got"
same_tree "$box/wanted" "$box/got"

# One kind, and one collection.
# shellcheck disable=SC2086
run 0 snapshot $ca --account cards "carddavs://alice@127.0.0.1:$radicale_port"
says '11 items'
# shellcheck disable=SC2086
run 0 snapshot $ca --account one "https://alice@127.0.0.1:$radicale_port/alice/todo/"
says '3 items'

# Refusals: another password, another user's home, no TLS, another certificate, a wrong place, a way back that is not there.
echo wrong >"$box/wrong"
# shellcheck disable=SC2086
run 1 snapshot $ca --account no --source-password-file "$box/wrong" "davs://alice@127.0.0.1:$radicale_port"
hints 'refuses the login of alice'
# shellcheck disable=SC2086
run 1 snapshot $ca --account no "davs://alice@127.0.0.1:$radicale_port/bob/"
# shellcheck disable=SC2086
run 1 snapshot $ca --account no "caldavs://alice@127.0.0.1:$radicale_port/nowhere/"
run 1 snapshot --account no "davs://alice@127.0.0.1:$radicale_port"
hints certificate
run 1 snapshot --account no --source-fingerprint "$(printf '%064d' 0)" "davs://alice@127.0.0.1:$radicale_port"
hints 'not the pinned one'
pin=$(openssl x509 -in "$box/tls/server.pem" -noout -fingerprint -sha256 | sed 's/.*=//')
run 0 snapshot --account pinned --source-fingerprint "$pin" "davs://alice@127.0.0.1:$radicale_port"
run 2 snapshot --account no "dav://alice@127.0.0.1:$radicale_port"
hints 'without TLS'
run 2 snapshot --account no --source-auth plain "davs://alice@127.0.0.1:$radicale_port"
hints 'basic, digest or bearer'
run 1 restore alice@latest --to "davs://alice@127.0.0.1:$radicale_port"
hints 'only read so far'

# Xandikos: without login, other ways to keep line ends.
dav_at=$xandikos_url
dav fill /user/calendars/calendar/ event 1 30
dav fill /user/calendars/calendar/ event 100 5 LF
dav fill /user/contacts/addressbook/ contact 1 8
run 0 snapshot --account x --source-tls off "dav://x@127.0.0.1:$xandikos_port"
says '43 items'
same x calendars/calendar=/user/calendars/calendar/ contacts/addressbook=/user/contacts/addressbook/
run 0 snapshot --account x --source-tls off "dav://x@127.0.0.1:$xandikos_port"
says 'nothing changed'
dav fill /user/calendars/calendar/ event 200 4
dav delete /user/calendars/calendar/event-3.ics
run 0 snapshot --account x --source-tls off "dav://x@127.0.0.1:$xandikos_port"
says '4 new, 1 removed'
same x calendars/calendar=/user/calendars/calendar/ contacts/addressbook=/user/contacts/addressbook/

# In the configuration.
run 0 account add dora "davs://alice@127.0.0.1:$radicale_port" --source-ca "$box/tls/ca.pem" --source-password-file "$box/pw"
run 0 snapshot dora
says '40 items'

run 0 check --read-data
