# The invented mailbox is the same for the same seed, another for another, and comes back as it was.
. "$(dirname "$0")/lib.sh"
sample=$(dirname "$0")/../../scripts/sample-mail

# Bytes, names and times of everything below $1.
state_of()
{
	(cd "$1" && find . -type f -printf '%P %T@ ' -exec md5sum {} \; | sed 's/ [^ ]*$//' | sort)
}

"$sample" "$box/one time" 7 || die "sample-mail failed"
"$sample" "$box/again" 7 || die "sample-mail failed"
"$sample" "$box/other" 8 || die "sample-mail failed"
[ "$(state_of "$box/one time")" = "$(state_of "$box/again")" ] || die "one seed gave two mailboxes"
[ "$(state_of "$box/one time")" != "$(state_of "$box/other")" ] || die "two seeds gave one mailbox"
"$sample" "$box/again" 7 2>/dev/null && die "a folder in use was written to"
grep -rq "$(printf '\r')" "$box/again/ann/Maildir" || die "no message has CR LF"
[ "$(find "$box/again/ann/Maildir" -name '*:2,*S*' | wc -l)" -gt 5 ] || die "no flags"

init
run 0 snapshot "$box/one time/ann/Maildir"
says "41 items"
run 0 snapshot --account dav "$box/one time/ann/dav"
run 0 ls dav@latest
says "event"
says "contact"
says "rule"
run 0 restore ann@latest --to "$box/back/ann/Maildir"
run 0 restore dav@latest --to "$box/back/ann/dav"
same_tree "$box/one time" "$box/back"
[ "$(state_of "$box/one time")" = "$(state_of "$box/back")" ] || die "times did not come back"
run 0 find --attachment garden.jpg
[ "$(printf '%s\n' "$out" | wc -l)" = 10 ] || die "the picture is not in ten messages"
echo "ok"
