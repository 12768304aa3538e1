# A message that is larger than all buffers together passes from a server into the repository, and from there into a Maildir and to a
# server, in memory that does not depend on its size. MAILHOLD_HUGE_MIB: its size; long/imap_huge takes 1 GiB.
mib=${MAILHOLD_HUGE_MIB:-160} # before the environment is cleaned
most_kib=$((120 * 1024))
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/dovecot.sh"
dovecot_start
echo secret >"$box/pw"
export MAILHOLD_SOURCE_PASSWORD_FILE=$box/pw MAILHOLD_TARGET_PASSWORD_FILE=$box/pw
# Sanitizers have memory of their own.
grep -qE '__(asan|tsan)_init' "$MAILHOLD" && most_kib=

# An attachment of random bytes, each line of base64 another, between two small mails.
python3 - "$dovecot_mail/alice/Maildir" "$mib" <<'END'
import base64, os, random, sys
folder = os.path.join(sys.argv[1], "cur")
for part in ("cur", "new", "tmp"):
	os.makedirs(os.path.join(sys.argv[1], part))
draw = random.Random(5)
head = b"From: ann@example.org\r\nSubject: number %d\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
for number, pieces in ((1, 0), (2, int(sys.argv[2])), (3, 0)):
	with open(os.path.join(folder, "%d.M%dP1.home:2,S" % (1700000000 + number, number)), "wb") as f:
		f.write(head % number)
		for _ in range(pieces): # 57 bytes a line, 13,443 lines of 78 bytes: 1 MiB of mail
			f.write(base64.encodebytes(draw.randbytes(57 * 13443)).replace(b"\n", b"\r\n"))
		f.write(b"AAAA\r\n")
END
[ "$(id -u)" != 0 ] || chown -R 65534:65534 "$dovecot_mail"

# small WORDS…: as run 0, and the most memory that it had resident is below the limit.
cat >"$box/small.py" <<'END'
import resource, subprocess, sys
code = subprocess.run(sys.argv[2:]).returncode
with open(sys.argv[1], "w") as f:
	print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=f)
sys.exit(code)
END
small()
{
	local peak
	last=$*
	python3 "$box/small.py" "$box/peak" "$MAILHOLD" "$@" >"$box/out" 2>"$box/err" </dev/null || die "it failed: $(cat "$box/err")"
	out=$(cat "$box/out") err=$(cat "$box/err")
	peak=$(cat "$box/peak")
	echo "$1: $peak KiB"
	[ -z "$most_kib" ] || [ "$peak" -le "$most_kib" ] || die "$1 took $peak KiB for a message of $mib MiB"
}
# Dovecot's files have LF for CRLF; there is no other CR.
hashes()
{
	find "$1" -path '*/cur/*' -type f | while read -r file; do
		tr -d '\r' <"$file" | sha256sum
	done | sort
}

run 0 init
small snapshot --source-ca "$dovecot_ca" --json "$imap_url"
says '"items":3'
says '"items_skipped":0'
hashes "$dovecot_mail/alice" >"$box/want"

small restore latest --to "maildir:$box/back"
hashes "$box/back" >"$box/have"
cmp "$box/want" "$box/have" || die "the Maildir holds other mail"
rm -rf "$box/back"

small restore latest --to "imaps://bob@127.0.0.1:$imaps_port" --target-ca "$dovecot_ca" --verify full
says 'restored 3 items'
hashes "$dovecot_mail/bob" >"$box/have"
cmp "$box/want" "$box/have" || die "the server holds other mail"
exit 0
