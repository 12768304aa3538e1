# Mail that a server refuses for its bytes: as it is, it is told by name; with --repair-bytes a mended copy goes there, once, and is read back.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/dovecot.sh"
. "$(dirname "$0")/cyrus.sh"
. "$(dirname "$0")/faulty_imap.sh"
here=$(dirname "$0")
dovecot_certificates
ca=$box/tls/ca.pem server=''
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; cyrus_stop 2>/dev/null; chmod -R u+rwx "$box" 2>/dev/null; rm -rf "$box"' EXIT
echo secret >"$box/pw"
export MAILHOLD_TARGET_PASSWORD_FILE=$box/pw

# Good mail, and one of each kind that may be refused; one of them is large, so that it is never held whole.
mkdir -p "$box/Maildir"/{cur,new,tmp}
python3 - "$box/Maildir/cur" <<'END2' || die "no mail"
import os, sys
def mail(i, body):
    path = "%s/%d.M%dP1.h:2,S" % (sys.argv[1], 1700010000 + i, i)
    open(path, "wb").write(body)
    os.utime(path, (1700000000, 1700000000))
head = b"Message-ID: <%d@example.org>\r\nSubject: s%d\r\n\r\n"
for i in range(40):
    mail(i, head % (i, i) + b"good\r\n" * i)
mail(50, head % (50, 50) + b"bare\nline\rends\r\n")
mail(51, b"Message-ID: <51@example.org>\r\nSubject: s51 Gr\xc3\xbc\xc3\x9fe\r\n\r\nbody\r\n")
mail(52, head % (52, 52) + b"a\0b\r\n")
mail(53, head % (53, 53) + b"word " * 400 + b"\r\n")
mail(54, b"Message-ID: <54@example.org>\r\nSubject: s54 \xe4\r\n\r\n" + b"0123456789abcdef\r\n" * 150000 + b"x\0\r\n")
END2
run 0 init
run 0 snapshot --account ann "$box/Maildir"

for faults in eight-bit "eight-bit half no-uidplus" "eight-bit no-multiappend no-literal-plus"; do
	# shellcheck disable=SC2086 # a list of words
	start $faults
	run 3 restore latest --to "$url" --target-ca "$ca" --verify full
	says 'restored 40 items'
	says '5 failed'
	run 0 restore latest --to "$url" --target-ca "$ca" --repair-bytes --verify full
	says 'restored 5 items'
	says '40 were there already'
	says '5 were changed because the server refuses their bytes'
	says 'every byte of 5: all as they should be'
	hints 'M50P1.h: 2 bare line ends'
	hints 'M51P1.h: 1 header line of 8-bit bytes'
	hints 'M52P1.h: 1 NUL'
	hints 'M53P1.h: 1 long line'
	hints 'M54P1.h: 1 NUL, 1 header line of 8-bit bytes'
	run 0 restore latest --to "$url" --target-ca "$ca" --repair-bytes --json
	says '"items_put":0'
	says '"items_present":45'
	rm -rf "$box/state" # without the journal
	run 0 restore latest --to "$url" --target-ca "$ca" --into . --repair-bytes
	says 'restored 0 items'
	stop
	[ "$(wc -l <"$box/dump")" = 45 ] || die "the server holds $(wc -l <"$box/dump") messages"
done

# All in one go, and told for programs.
start eight-bit
run 0 restore latest --to "$url" --target-ca "$ca" --repair-bytes --json
says '"items_mended":5'
says '"note":"2 bare line ends"'
says '"changes":["mended"]'
stop
# A server that takes them gets them as they are.
rm -rf "$box/state"
start
run 0 restore latest --to "$url" --target-ca "$ca" --repair-bytes --json
says '"items_put":45'
says '"items_mended":0'
stop
# The store has what it had.
run 0 cat 'latest:INBOX#1700010050.M50P1.h'
printf 'Message-ID: <50@example.org>\r\nSubject: s50\r\n\r\nbare\nline\rends\r\n' | cmp - "$box/out" || die "the original changed"
run 2 restore latest --to "$box/files" --repair-bytes

# Cyrus does refuse some of it.
cyrus_start || { echo "no Cyrus"; exit 0; }
cyrus_user ann
rm -rf "$box/state"
url=imaps://ann@127.0.0.1:$cyrus_port
run 3 restore latest --to "$url" --target-ca "$ca" --verify full
echo "Cyrus: $(printf '%s\n' "$out" | grep restored); $(printf '%s\n' "$err" | head -3)"
run 0 restore latest --to "$url" --target-ca "$ca" --repair-bytes --verify full
says 'were changed because the server refuses their bytes'
says 'all as they should be'
run 0 restore latest --to "$url" --target-ca "$ca" --repair-bytes
says 'restored 0 items'
says '45 were there already'
