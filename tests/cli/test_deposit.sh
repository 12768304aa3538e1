# A mail server with a deposit key takes the backups of its accounts; it lists and checks them, and reads none of them.
. "$(dirname "$0")/lib.sh"
maildir "$box/ann/Maildir"
maildir "$box/bob/Maildir"
server=(--key-file "$box/server.key")

run 0 init
run 2 key add --role deposit --account a:b --new-key-file "$box/server.key"
run 0 key add --role deposit --account ann --account carol --label mx1 --new-key-file "$box/server.key"
says "(mx1), role deposit"
hints "read no bodies"
run 0 key list
says " for "
run 0 key list --json
says '"accounts":2'
says '"bound_to":[{"id":"'
says '"name":""}]'

run 0 snapshot "$box/ann/Maildir" "${server[@]}"
run 0 snapshot "$box/ann/Maildir" "${server[@]}"
says "nothing changed"
run 1 snapshot "$box/bob/Maildir" "${server[@]}"
hints "this key may not add snapshots of the account 'bob'"
run 0 snapshots "${server[@]}"
says "ann"
# The names of accounts are told as soon as a snapshot has them, to those who read names.
for key in "$MAILHOLD_KEY_FILE" "$box/server.key"; do
	run 0 key list --key-file "$key"
	says "for ann, "
	run 0 key list --json --key-file "$key"
	says '"name":"ann"}'
done
run 0 key add --role keeper --label watch --new-key-file "$box/watch.key"
run 0 key list --key-file "$box/watch.key"
says " for "
says_not "ann"
run 0 key remove watch
run 0 ls latest "${server[@]}"
says "INBOX"
run 0 ls latest:INBOX "${server[@]}"
says "1700000001.M1P1.host"
says_not "The contract"
run 0 check "${server[@]}"
run 0 check --read-data "${server[@]}"
says "no problems"
run 0 stats "${server[@]}"
[ -n "$(find "$box/cache/mailhold" -maxdepth 1 -name '*-deposit')" ] || die "a depositor shares its cache with full keys"
for words in "cat latest:INBOX#1700000001.M1P1.host" "find contract" "deleted" "diff latest~1 latest" "forget latest" \
	"restore latest --to $box/target" "restore latest --to $box/target --dry-run" "pin latest" "prune" "prune --dry-run" \
	"forget --keep-last 1" "key export" "key remove mx1"; do
	# shellcheck disable=SC2086
	run 1 $words "${server[@]}"
	hints "this key may not"
	[ -z "$out" ] || die "it printed something"
done
[ ! -e "$box/target" ] || die "a depositor made a target"

# Ann reads what the server stored, and vouches for it.
run 0 cat latest:INBOX#1700000001.M1P1.host
head=$("$MAILHOLD" stats --json | sed 's/.*"head": *"\([0-9]*\):.*/\1/')
run 0 check --read-data
says "no problems"
run 0 stats --json
says "\"head\":\"$((head + 1)):"
run 0 restore ann@latest --to "$box/back"
diff -r "$box/ann/Maildir/cur" "$box/back/cur" || die "it came back otherwise"
# A second one goes, and the keys with it: everybody else goes on with what they have.
run 0 key add --label second --new-key-file "$box/second.key"
run 0 key remove second --rotate
says "removed key"
says "rotated the keys: epoch 2"
run 12 snapshots --key-file "$box/second.key"
run 1 key rotate "${server[@]}"
hints "only a full one may"
echo "Later" >"$box/ann/Maildir/new/1700000009.M9P9.host"
run 0 snapshot "$box/ann/Maildir" "${server[@]}"
says "1 new"
run 0 key rotate --json
says '"epoch":3'
run 0 snapshots
says ann
run 0 cat latest:INBOX#1700000001.M1P1.host
run 0 cat latest:INBOX#1700000009.M9P9.host
says Later
run 0 check --read-data
printf '%s' "$err" | grep -q "cannot be read" && die "a record cannot be read"
# It takes its own password away and gets another; then it is removed.
run 0 key passwd --new-key-file "$box/other.key" "${server[@]}"
run 12 snapshots "${server[@]}"
run 0 snapshot "$box/ann/Maildir" --key-file "$box/other.key"
run 0 key remove mx1
run 12 snapshot "$box/ann/Maildir" --key-file "$box/other.key"
echo "ok"
