# Forget by rules, see why, get the space back, and bring things back while that is possible.
. "$(dirname "$0")/lib.sh"
mails=$box/ann/Maildir
maildir "$mails"
init
for i in 1 2 3 4 5 6 7 8 9; do
	head -c 200000 /dev/urandom | base64 >"$box/body"
	mail "$mails/cur/170000010$i.M${i}P1.host:2,S" "Mail $i" "$(cat "$box/body")"
	[ "$i" -gt 1 ] && rm "$mails"/cur/170000010$((i - 1)).*
	run 0 snapshot "$mails" --tag "number-$i"
done
full=$(du -sk "$box/repo" | cut -f1)

# Nine of one day: rules that keep one would forget eight at once, and are held back.
run 0 forget --keep-last 6 --keep-tag number-1 --dry-run
says "keep"
says "(tag)"
says "would forget"
says "(no-rule)"
says "newest"
run 3 forget --keep-daily 7
hints "of 9 snapshots 8 would go, more than half of them"
hints "--force"
# Nobody reads what a nightly run prints unless it prints something: that nothing was forgotten is told even so.
run 3 prune --keep-daily 7 --quiet
hints "more than half"
[ -z "$out" ] || die "it is not quiet"
run 0 snapshots
[ "$(printf '%s\n' "$out" | grep -c ann)" = 9 ] || die "a rule that was held back forgot something"
run 0 forget --keep-daily 7 --keep-tag number-5 --force --json
[ "$(printf '%s\n' "$out" | grep -c '"type":"forgot"')" = 7 ] || die "it did not forget seven"
[ "$(printf '%s\n' "$out" | grep -c '"type":"keep"')" = 2 ] || die "it did not keep two"

# Until the trash is emptied everything can come back; by default it keeps a week.
run 0 prune
says "0 snapshots of the trash"
run 0 snapshots --trash
id=$(printf '%s\n' "$out" | awk '/ann/ { print $1; exit }')
run 0 forget --undo "$id"
run 0 forget "$id"

run 0 prune --dry-run --trash 0 --json
says '"snapshots_expired":7'
run 0 check
run 0 prune --trash 0 --max-unused 0
says "wait for a prune"
[ "$(du -sk "$box/repo" | cut -f1)" -ge "$full" ] || die "packs went before the wait was over"
run 1 forget --undo "$id"
run 0 prune --now --quiet
[ "$(du -sk "$box/repo" | cut -f1)" -lt $((full / 2)) ] || die "the space did not come back"
run 0 check --read-data
says "no problems"
run 0 restore latest --to "$box/back"
same_tree "$mails" "$box/back"
run 0 prune --now --json
says '"packs_deleted":0'
run 1 ls "$id"

# The last one of an account does not go by accident, only by its own name; the last but one does.
run 0 forget latest~1 --dry-run
run 1 forget latest latest~1
hints "is the last one of its account"
run 0 snapshots
[ "$(printf '%s\n' "$out" | grep -c ann)" = 2 ] || die "a refused forget took something"
id=$(printf '%s\n' "$out" | awk '/ann/ { print $1 }' | tail -1)
run 0 forget latest~1
run 1 forget latest
hints "mailhold forget $id"
run 1 forget --dry-run "ann@$(date +%Y-%m-%d)"
run 0 forget "$id"
hints "is the last one of its account"
run 0 forget --undo latest

# Sizes and times as people write them, and what to write instead.
run 0 prune --max-repack 1GiB --max-unused 5MB --quiet
run 2 prune --max-unused 5MX
hints "500M"
run 2 forget --keep-within 30
hints "a length of time such as 12h, 3d"

# The last complete one of an account stays whatever rules say.
run 0 forget --keep-tag nobody --force
run 0 snapshots
[ "$(printf '%s\n' "$out" | grep -c ann)" = 1 ] || die "the newest one went"
run 0 prune --keep-last 1 --now
run 0 restore latest --to "$box/back2"
same_tree "$mails" "$box/back2"
echo "ok"
