# A keeper's key looks after a repository: forgets by rules, frees space and merges what it cannot read; limits of prune.
. "$(dirname "$0")/lib.sh"
mails=$box/ann/Maildir
keeper=(--key-file "$box/keeper.key")
maildir "$mails"
init
run 0 key add --role keeper --label cleaner --new-key-file "$box/keeper.key"
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18; do
	head -c 150000 /dev/urandom | base64 >"$box/body"
	mail "$mails/cur/17000001$((i + 10)).M${i}P1.host:2,S" "Mail $i" "$(cat "$box/body")"
	[ "$i" -gt 2 ] && rm "$mails"/cur/17000001$((i + 8)).*
	run 0 snapshot "$mails" --account ann
done
full=$(du -sk "$box/repo" | cut -f1)
account=$("$MAILHOLD" snapshots --json "${keeper[@]}" | sed -n '1s/.*"account_id": *"\([0-9a-f]*\)".*/\1/p')

# What it may not: tags are sealed, and names are not known to it.
run 1 forget --keep-tag gold "${keeper[@]}"
hints "tags"
hints "pin"
run 1 forget --keep-last 3 --account ann --force "${keeper[@]}"
run 0 snapshots
[ "$(printf '%s\n' "$out" | grep -c ann)" = 18 ] || die "a rule that was refused forgot something"

# What it may, by the account's digits.
run 0 forget --keep-last 2 --account "${account:0:8}" --force --dry-run "${keeper[@]}"
says "would forget"
run 0 prune --keep-last 2 --account "${account:0:8}" --force --now --json "${keeper[@]}"
says '"packs_repacked":'
says '"out_of_time":false'
[ "$(du -sk "$box/repo" | cut -f1)" -lt $((full / 2)) ] || die "the keeper freed too little"
run 0 check --read-data "${keeper[@]}"
says "no problems"
run 0 check --read-data
says "no problems"
run 0 restore latest --to "$box/back"
same_tree "$mails" "$box/back"
run 0 snapshot "$mails" --account ann
run 0 prune --now --max-unused 0
run 0 check --read-data
run 0 restore latest --to "$box/back2"
same_tree "$mails" "$box/back2"
run 1 cat latest:INBOX#nothing "${keeper[@]}"

# Limits: what they take, and what they say to the rest.
run 0 prune --now --max-duration 90s --max-unused 5% "${keeper[@]}"
run 0 prune --dry-run --max-unused 500M
run 0 prune --dry-run --max-unused unlimited --json
says '"packs_repacked":0'
run 2 prune --max-duration 30m
hints "30min"
run 2 prune --max-duration 0s
run 2 prune --max-unused 500
hints "unlimited"
run 2 prune --max-unused much
echo "ok"
