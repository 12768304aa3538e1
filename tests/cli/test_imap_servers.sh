# Dovecot, Cyrus and Courier as sources: everything, then only what changed, each message as an independent client sees it.
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
echo secret >"$box/pw"
export MAILHOLD_SOURCE_PASSWORD_FILE=$box/pw

cat >"$box/client.py" <<'END'
import imaplib, re, ssl, sys
box = imaplib.IMAP4_SSL("127.0.0.1", int(sys.argv[2]), ssl_context=ssl.create_default_context(cafile=sys.argv[1]))
box.login("mover", "secret")
prefix, delimiter = (part.decode() for part in re.match(rb'\(\("([^"]*)" "(.)"', box.namespace()[1][0]).groups())
def name(path):
    return '"' + (path if path == "INBOX" else prefix + path.replace("/", delimiter)) + '"'
def must(answer):
    assert answer[0] == "OK", answer
def put(folder, flags, day, number):
    must(box.append(name(folder), flags, '"%2d-Feb-2024 10:11:%02d +0130"' % (day, number),
        b"From: a@example.org\r\nSubject: number %d\r\n\r\n" % number + b"line %d\r\n" % number * (number * 30)))
if sys.argv[3] == "fill":
    for folder in ("Work", "Work/2024", "Entw&APw-rfe"):
        must(box.create(name(folder)))
    for i in range(30):
        put("INBOX", ["(\\Seen)", "(\\Seen \\Flagged $Label1)", ""][i % 3] or None, i % 28 + 1, i)
    for i in range(30, 40):
        put("Work/2024", None, i - 29, i)
elif sys.argv[3] == "change":
    box.select(name("INBOX"))
    must(box.store("1:3", "+FLAGS", "(\\Answered)"))
    must(box.store("5", "-FLAGS", "(\\Seen \\Flagged)"))
    must(box.copy("10:14", name("Work")))
    must(box.store("8:14", "+FLAGS", "(\\Deleted)"))
    must(box.expunge())
    put("INBOX", None, 3, 41)
    box.close()
    must(box.rename(name("Work/2024"), name("Work/2025")))
box.logout()
END

# What the snapshot holds, in the words of the other client: folder, time, hash; and the flags of each folder.
ours()
{
	rm -rf "$box/back"
	run 0 restore "$1@latest" --to "files:$box/back"
	(cd "$box/back" && find . -name '*.eml' -printf '%P\n' | while IFS= read -r file; do
		printf '%s\t%s\t%s\n' "$(dirname "$file")" "$(stat -c %Y "$file")" "$(sha256sum <"$file" | cut -d' ' -f1)"
	done) | sort
}
theirs()
{
	python3 "$here/imap_dump.py" "$2" mover --ca "$dovecot_ca" >"$box/dump" || die "the other client failed at $1"
	# The INBOX of a server with a prefix is the folder above the others.
	awk -F'\t' -v OFS='\t' '{ print $1, $3, $4 }' "$box/dump" | sort
}
same()
{
	ours "$1" | sed "s/^INBOX[./]//" >"$box/ours"
	theirs "$1" "$2" >"$box/theirs"
	[ "$(wc -l <"$box/theirs")" -ge 30 ] || die "$1, $3: the other client sees $(wc -l <"$box/theirs") mails"
	cmp -s "$box/ours" "$box/theirs" || die "$1, $3: $(diff "$box/theirs" "$box/ours" | head -6)"
	# Flags: how often which.
	run 0 ls -l --json "$1@latest:INBOX"
	printf '%s\n' "$out" | python3 -c '
import json, sys
for line in sys.stdin:
    item = json.loads(line)
    if "key" in item:
        print(" ".join(sorted(item.get("flags", "").split())))' | sort >"$box/ours"
	awk -F'\t' '$1 == "INBOX" { print $2 }' "$box/dump" | sort >"$box/theirs"
	grep -q 'Label1' "$box/theirs" || die "$1, $3: no keywords"
	cmp -s "$box/ours" "$box/theirs" || die "$1, $3: flags: $(diff "$box/theirs" "$box/ours" | head -6)"
}

run 0 init
for server in $servers; do
	case $server in
	dovecot) port=$imaps_port ;;
	cyrus) port=$cyrus_port && cyrus_user mover ;;
	courier) port=$courier_port && courier_user mover ;;
	esac
	python3 "$box/client.py" "$dovecot_ca" "$port" fill || die "the other client cannot fill $server"
	run 0 snapshot --account $server --source-ca "$dovecot_ca" --json "imaps://mover@127.0.0.1:$port"
	says '"items_new":40'
	same $server "$port" full
	python3 "$box/client.py" "$dovecot_ca" "$port" change || die "the other client cannot change $server"
	run 0 snapshot --account $server --source-ca "$dovecot_ca" --json "imaps://mover@127.0.0.1:$port"
	says '"items_new":1,"items_moved":15'
	says '"items_state_changed":4'
	same $server "$port" changed
	run 0 snapshot --account $server --source-ca "$dovecot_ca" --json "imaps://mover@127.0.0.1:$port"
	says '"items_new":0,"items_moved":0'
	says '"items_state_changed":0,"items_removed":0'
	says '"bytes_read":0'
done
exit 0
