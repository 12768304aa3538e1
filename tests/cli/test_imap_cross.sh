# From each of Dovecot, Cyrus and Courier to each of them: folders, flags, keywords, dates and bytes, as an independent client sees them.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/dovecot.sh"
. "$(dirname "$0")/cyrus.sh"
. "$(dirname "$0")/courier.sh"
here=$(dirname "$0")
dovecot_start
trap 'cyrus_stop; courier_stop; dovecot_stop; chmod -R u+rwx "$box" 2>/dev/null; rm -rf "$box"' EXIT
servers=dovecot
cyrus_start && servers="$servers cyrus"
courier_start && servers="$servers courier"
echo "servers: $servers"
[ "$servers" != dovecot ] || skip "there is only Dovecot"
echo secret >"$box/pw"
export MAILHOLD_SOURCE_PASSWORD_FILE=$box/pw MAILHOLD_TARGET_PASSWORD_FILE=$box/pw

port_of()
{
	case $1 in
	dovecot) echo "$imaps_port" ;;
	cyrus) echo "$cyrus_port" ;;
	courier) echo "$courier_port" ;;
	esac
}
user()
{
	case $1 in
	cyrus) cyrus_user "$2" ;;
	courier) courier_user "$2" ;;
	esac
}
url()
{
	echo "imaps://$2@127.0.0.1:$(port_of "$1")"
}
dump() # SERVER USER OPTIONS…
{
	local server=$1 name=$2
	shift 2
	python3 "$here/imap_dump.py" "$(port_of "$server")" "$name" --ca "$dovecot_ca" "$@" || die "the other client failed at $server"
}

cat >"$box/fill.py" <<'END2'
import imaplib, re, ssl, sys
box = imaplib.IMAP4_SSL("127.0.0.1", int(sys.argv[2]), ssl_context=ssl.create_default_context(cafile=sys.argv[1]))
box.login("source", "secret")
prefix, delimiter = re.match(rb'\(\("([^"]*)" "(.)"', box.namespace()[1][0]).groups()
def name(path):
    return '"' + (path if path == "INBOX" else prefix.decode() + path.replace("/", delimiter.decode())) + '"'
def put(folder, flags, date, body):
    code, text = box.append(name(folder), flags, date, body)
    assert code == "OK", (folder, text)
for folder in ("Work", "Work/2024", "Entw&APw-rfe &- mehr", "&U,BTFw-"):
    code, text = box.create(name(folder))
    assert code == "OK", text
    box.subscribe(name(folder))
for i in range(25):
    put("INBOX", ["(\\Seen)", "(\\Seen \\Flagged $Label1)", "(\\Answered)", ""][i % 4] or None,
        '"%2d-Feb-2024 10:11:%02d +0130"' % (i + 1, i),
        b"From: a@example.org\r\nMessage-ID: <%d@example.org>\r\nSubject: number %d\r\n\r\n" % (i, i) + b"line %d\r\n" % i * (i * 20))
for i in range(3):
    put("Work", "(\\Seen)", '" 1-Mar-2023 01:02:03 -0800"', b"Message-ID: <twin@example.org>\r\n\r\ntwin\r\n")
    put("Work/2024", "(\\Draft)", '"31-Dec-1999 23:59:59 +0000"', b"Subject: no id\r\n\r\n\xff\x80 8 bit %d\r\n" % (i // 2))
put("Entw&APw-rfe &- mehr", None, '"29-Feb-2024 12:00:00 +0000"', b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n" + b"y" * 5000 + b"\r\n")
put("&U,BTFw-", "(\\Deleted)", '"29-Feb-2024 12:00:00 +0000"', b"Subject: no end\r\n\r\nno end")
put("Sent", "(\\Seen)", '" 1-Jan-2024 00:00:00 +0000"', b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 150000)
box.logout()
END2
run 0 init
for from in $servers; do
	user "$from" source
	python3 "$box/fill.py" "$dovecot_ca" "$(port_of "$from")" || die "$from was not filled"
	run 0 snapshot --account "$from" --source-ca "$dovecot_ca" "$(url "$from" source)"
	dump "$from" source >"$box/$from"
	dump "$from" source --loose >"$box/$from.loose"
	[ "$(wc -l <"$box/$from")" = 34 ] || die "$(wc -l <"$box/$from") messages at $from"
done
for from in $servers; do
	for to in $servers; do
		user "$to" "of$from"
		run 0 restore "$from@latest" --to "$(url "$to" "of$from")" --target-ca "$dovecot_ca" --verify full
		says 'restored 34 items'
		says 'every byte of 34: all as they should be'
		run 0 restore "$from@latest" --to "$(url "$to" "of$from")" --target-ca "$dovecot_ca" --into .
		says 'restored 0 items'
		# Courier puts a line end to the end of what has none.
		loose=''
		[ "$to" != courier ] || loose=--loose
		# shellcheck disable=SC2086 # nothing, or one option
		dump "$to" "of$from" $loose >"$box/have"
		cmp -s "$box/have" "$box/$from${loose:+.loose}" ||
			die "from $from to $to: $(diff "$box/$from${loose:+.loose}" "$box/have" | head -6)"
	done
done

# The mailbox of one goes below a folder of another, with its delimiter; and is taken away again.
for to in $servers; do
	run 0 restore dovecot@latest --to "$(url "$to" source)" --target-ca "$dovecot_ca" --into "Old mail/of Dovecot"
	says 'restored 34 items'
	dump "$to" source --loose --prefix "Old mail/of Dovecot/" | cmp -s - "$box/dovecot.loose" || die "below a folder at $to"
	run 0 restore dovecot@latest --to "$(url "$to" source)" --target-ca "$dovecot_ca" --undo
	says 'took 34 messages and 6 empty folders'
	dump "$to" source | cmp -s - "$box/$to" || die "undo at $to"
done
