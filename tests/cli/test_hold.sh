# A legal hold: on items, on an account, on a snapshot; whatever rules, --force, the trash and a keeper's key say.
. "$(dirname "$0")/lib.sh"
mails=$box/ann/Maildir
maildir "$mails"
init
for i in 1 2 3 4 5 6; do
	mail "$mails/cur/170000010$i.M${i}P1.host:2,S" "Mail $i"
	[ "$i" -gt 1 ] && rm "$mails"/cur/170000010$((i - 1)).*
	run 0 snapshot "$mails"
done
count()
{
	run 0 snapshots "$@"
	printf '%s\n' "$out" | grep -c ann
}

run 2 hold add latest
hints "--label"
run 2 hold add --label x --from smith
hints "--query"
run 2 hold add --label x
run 2 hold add --label x --query
run 1 hold add --label x --account bob
run 0 hold list --json
says '"holds":[]'

# Of two mails that only old snapshots have, those stay: one each.
run 0 hold add --label "Smith v. Jones" --query --subject "Mail 2" --until 2026-11-23
says "held"
run 0 hold add --label second --query "Mail 4"
run 1 hold add --label second --query "Mail 1"
run 0 hold list
says "Smith v. Jones"
says "items subject Mail 2"
run 0 forget --keep-last 1 --force --dry-run
says "(hold; hold Smith v. Jones)"
[ "$(printf '%s\n' "$out" | grep -c "would forget")" = 3 ] || die "it would not forget three"
run 0 prune --keep-last 1 --force --now
[ "$(count)" = 3 ] || die "it did not keep the two that are held, and the newest"
run 0 find "Mail 2"
says "Mail 2"
run 0 find "Mail 1"
says_not "Mail 1"
run 0 forget --keep-last 1 --force --dry-run --json
says '"hold":"Smith v. Jones"'
id=$(printf '%s\n' "$out" | grep 'Smith v. Jones' | sed 's/.*"id":"\([0-9a-f]*\)".*/\1/')
run 1 forget "$id"
hints "Smith v. Jones"

# A keeper forgets nothing where a hold looks for items, and sees no names.
run 0 key add --label watch --role keeper --new-key-file "$box/keeper"
run 0 --key-file "$box/keeper" hold list
says_not "Smith"
run 1 --key-file "$box/keeper" forget "$id"
run 0 --key-file "$box/keeper" prune --keep-last 1 --force --now
[ "$(count)" = 3 ] || die "a keeper broke the hold"
run 1 --key-file "$box/keeper" hold remove second
run 1 --key-file "$box/keeper" hold remove "$(run 0 --key-file "$box/keeper" hold list --json; says '"id"'; printf '%s\n' "$out" | sed 's/.*"id":"\([0-9a-f]*\)".*/\1/')"

run 0 hold remove "Smith v. Jones"
says "released"
hints "RELEASED"
run 1 hold remove "Smith v. Jones"
run 0 prune --keep-last 1 --force --now
[ "$(count)" = 2 ] || die "a released hold still holds"
run 0 find "Mail 2"
says_not "Mail 2"

# What lies in the trash comes back, of items as much as is needed.
run 0 hold remove second
run 0 forget --keep-last 1 --force
[ "$(count)" = 1 ] || die "it did not go"
run 0 hold add --label again --query "Mail 4"
[ "$(count)" = 2 ] || die "it did not come back"
run 0 hold remove again
run 0 forget --keep-last 1 --force
id=$(count --trash >/dev/null; printf '%s\n' "$out" | awk '/ann/ { print $1; exit }')
run 0 snapshots --trash
id=$(printf '%s\n' "$out" | awk '/ann/ { print $1; exit }')
run 0 hold add --label trash "$id"
[ "$(count)" = 2 ] || die "a held snapshot did not come back"
run 0 hold remove trash

# A whole account, with what is to come.
run 0 hold add --label audit --account ann
run 0 snapshot "$mails"
run 0 prune --keep-last 1 --force --now
[ "$(count)" = 3 ] || die "a held account lost a snapshot"
run 0 hold list
says "account ann"
run 0 check --read-data
echo "ok"
