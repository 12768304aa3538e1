# Several people open one repository: with passwords, a key file, a keeper's key and a recovery sheet; one is removed.
. "$(dirname "$0")/lib.sh"
unset MAILHOLD_KEY_FILE
maildir "$box/ann/Maildir"
for name in ann bob carol; do
	echo "$name's long password" >"$box/$name.pw"
done
ann=(--password-file "$box/ann.pw")
bob=(--password-file "$box/bob.pw")
keeper=(--key-file "$box/keeper.key")

# Two people with passwords of their own.
run 0 init "${ann[@]}" --label "laptop of Ann"
run 0 snapshot "$box/ann/Maildir" "${ann[@]}"
run 12 snapshots "${bob[@]}"
run 0 key add --label Bob --new-password-file "$box/bob.pw" "${ann[@]}"
says "(Bob), role full"
hints "can read everything"
run 0 snapshots "${bob[@]}"
says "ann"
run 0 snapshot "$box/ann/Maildir" "${bob[@]}"
run 0 key list "${bob[@]}"
says "laptop of Ann"
says "this one"
grep -rq "laptop of Ann" "$box/repo" && die "a label can be read in the store"

# A key file for runs without a person, made on the spot; nothing is left when it cannot be added.
run 0 key add --label nightly --new-key-file "$box/nightly.key" "${ann[@]}"
[ "$(stat -c %a "$box/nightly.key")" = 600 ] || die "the key file is not the owner's alone"
MAILHOLD_KEY_FILE=$box/nightly.key run 0 snapshot "$box/ann/Maildir"
run 1 key add --label nightly --new-key-file "$box/other.key" "${ann[@]}"
hints "there is a key 'nightly' already"
[ ! -e "$box/other.key" ] || die "a key file to nothing is left"
run 1 key add --label same --new-password-file "$box/bob.pw" "${ann[@]}"
hints "opens the repository already"

# A keeper lists, checks, forgets and counts, and is told plainly what it may not.
run 0 key add --role keeper --label cleaner --new-key-file "$box/keeper.key" "${ann[@]}"
hints "read no names"
run 0 snapshots "${keeper[@]}"
says_not "ann"
account=$("$MAILHOLD" snapshots --json "${keeper[@]}" | sed 's/.*"account_id": *"\([0-9a-f]*\)".*/\1/')
[ ${#account} = 32 ] || die "no account id: $account"
run 0 snapshots --account "$account" "${keeper[@]}"
says "${account:0:8}"
run 0 check "${keeper[@]}"
says "no problems"
run 0 check --read-data "${keeper[@]}"
says "no problems"
[ -n "$(find "$box/cache/mailhold" -maxdepth 1 -name '*-keeper')" ] || die "a keeper shares its cache with full keys"
run 0 stats "${keeper[@]}"
says_not "ann"
run 0 forget "${account:0:8}@latest" "${keeper[@]}"
run 0 forget --undo latest "${keeper[@]}"
run 0 pin latest "${keeper[@]}"
run 0 unpin latest "${keeper[@]}"
for words in "ls latest" "ls latest:INBOX" "cat latest:INBOX#1700000001.M1P1.host" "find contract" "find -a ann x" \
	"deleted" "deleted -a ann" "diff latest~1 latest" "restore latest --to $box/out-of-keeper" \
	"snapshot $box/ann/Maildir" "key add --new-password-file $box/carol.pw" "key export"; do
	# shellcheck disable=SC2086
	run 1 $words "${keeper[@]}"
	hints "this key may not"
	[ -z "$out" ] || die "it printed something"
done
[ ! -e "$box/out-of-keeper" ] || die "a keeper restored"
run 1 key remove "$("$MAILHOLD" key list --json "${ann[@]}" | grep -o '"id": *"[0-9a-f]*"' | head -1 | grep -o '[0-9a-f]\{32\}')" \
	"${keeper[@]}"
hints "only a full one may"

# What the keeper calls whole is whole; a flipped byte anywhere in a pack is seen by it, also in content it cannot open.
pack=$(find "$box/repo/pack" -type f -size +1k | head -1)
cp "$pack" "$box/pack.whole"
for at in 70 200 1500; do
	chmod u+w "$pack"
	printf '\377\000\377' | dd of="$pack" bs=1 seek="$at" conv=notrunc 2>"$box/dd"
	cmp -s "$pack" "$box/pack.whole" && die "nothing was flipped"
	run 1 check --read-data "${keeper[@]}"
	cat "$box/pack.whole" >"$pack"
done
run 0 check --read-data "${keeper[@]}"

# Another password, and the old one is gone.
run 0 key passwd --new-password-file "$box/carol.pw" "${bob[@]}"
hints "still opens with the old one"
run 12 snapshots "${bob[@]}"
run 0 snapshots --password-file "$box/carol.pw"

# A recovery sheet: typed in, it is a key file.
run 0 key export "${ann[@]}"
says "$box/repo"
cp "$box/out" "$box/sheet"
sed -n 's/^ *\([1-4]: .*\)/\1/p' "$box/sheet" | tr 'a-f /' 'A-F  ' >"$box/typed"
[ "$(wc -l <"$box/typed")" = 4 ] || die "the sheet has no four lines"
run 0 ls latest:INBOX --key-file "$box/typed"
says "The contract"
run 0 ls latest --key-file "$box/sheet"
tr '0' '1' <"$box/typed" | sed 's/^1: \(.\)/1: 7\1/' >"$box/slip"
run 2 ls latest --key-file "$box/slip"
hints "mistyped"
run 0 key list --all "${ann[@]}"
says "recovery sheet 20"
run 2 key export --json "${ann[@]}"
"$MAILHOLD" key export "${ann[@]}" --label unprinted >/dev/full 2>"$box/err" && die "a sheet that was not printed is no failure"
run 0 key list "${ann[@]}"
says_not unprinted

# Bob is removed and comes in no more, not even with his key objects put back; the last full key stays.
cp -r "$box/repo/key" "$box/key.before"
run 0 key remove Bob "${ann[@]}"
says "removed key"
hints "still reads what it could read"
run 12 snapshots --password-file "$box/carol.pw"
cp -rn "$box/key.before/." "$box/repo/key/"
run 12 snapshot "$box/ann/Maildir" --password-file "$box/carol.pw"
hints "this key was removed"
run 0 key list "${ann[@]}"
says "remove it again"
run 0 key remove Bob "${ann[@]}"
run 0 key list "${ann[@]}"
says_not Bob
run 0 key list --all "${ann[@]}"
says Bob
run 0 key remove nightly "${ann[@]}"
run 0 key remove "$(sed -n 's/^key .*(\(.*\))$/\1/p' "$box/sheet")" "${ann[@]}"
run 1 key remove "laptop of Ann" "${ann[@]}"
hints "the only full key"
run 0 check --read-data "${ann[@]}"

# The command line and JSON.
run 2 key
run 2 key frobnicate
run 2 key remove
run 2 key list Bob
run 1 key remove nobody --rotate "${ann[@]}"
run 2 key add --role owner --new-password-file "$box/bob.pw" "${ann[@]}"
run 2 key add --role keeper --account ann --new-password-file "$box/bob.pw" "${ann[@]}"
run 2 key list --label x "${ann[@]}"
run 2 key add --new-key-file "$box/a" --new-password-file "$box/b" "${ann[@]}"
run 1 key remove nobody "${ann[@]}"
run 0 key list --json "${ann[@]}"
says '"role":"keeper"'
run 0 key add --json --label Bob --new-password-file "$box/bob.pw" "${ann[@]}"
says '"type":"key-added"'
run 0 key passwd --json --new-password-file "$box/carol.pw" "${bob[@]}"
says '"type":"key-changed"'
run 0 key remove --json Bob "${ann[@]}"
says '"type":"key-removed"'
echo "ok"
