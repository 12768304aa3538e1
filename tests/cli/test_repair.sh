# A damaged repository on a bad night: check tells, repair saves what is whole and names what is not, and lost mail comes back.
. "$(dirname "$0")/lib.sh"
mails=$box/ann/Maildir
maildir "$mails"
init
for i in 1 2 3 4 5 6; do
	head -c 300000 /dev/urandom | base64 >"$box/body"
	mail "$mails/cur/170000010$i.M${i}P1.host:2,S" "Mail $i" "$(cat "$box/body")"
done
run 0 snapshot "$mails"
run 0 snapshot "$mails"
run 0 init -r "$box/other" --key-file "$box/other.key"
run 0 snapshot "$mails" -r "$box/other" --key-file "$box/other.key"

# A part of the data every day, however people write how much.
run 0 check --read-data 100%
says "blocks"
run 0 check --read-data=100MB
run 0 check --read-data=10min
run 2 check 100%
hints "goes with --read-data"
run 2 check --read-data=5% 5%
run 0 check
says "the directories of"
run 0 check --read-data=5%
says "all data verified within the last two hours"
run 0 check --read-data=1s --json
says '"packs_data":1'
run 0 stats
says "all data verified"
run 2 check --read-data=12
run 2 check --read-data=0%
run 2 check --read-data=500%

pack=$(find "$box/repo/pack" -type f)
cp "$pack" "$box/whole"
flip() # of the pack, in the first block: an attachment
{
	chmod u+w "$pack"
	printf 'x%.0s' $(seq 64) | dd of="$pack" bs=1 seek=100000 conv=notrunc 2>/dev/null
}
flip
run 1 check --read-data
says "pack/"
says "block"
says "cannot be read: Mail"
says "(2 snapshots)"
hints "repair packs"

run 3 repair packs --dry-run
says "nothing was changed"
[ -d "$box/repo/damaged" ] && die "a dry run set something aside"
run 3 repair packs
says "cannot be read: Mail"
says "damaged/"
says "cannot be read whole"
hints "--from"
cmp "$pack" "$(find "$box/repo/damaged" -type f)" || die "the damaged pack was not kept as it was"
run 1 check --read-data
says_not "pack/"
says "cannot be read: Mail"

# Wrong or missing secrets of the other repository.
run 12 repair packs --from "$box/other"
hints "--from-key-file"
run 2 repair packs --from-key-file "$box/other.key"
run 1 repair packs --from "$box/nothing"
# It comes back from another repository with other keys.
run 0 repair packs --from "$box/other" --from-key-file "$box/other.key" --json
says '"items_affected":0'
run 0 check --read-data
says "no problems"
run 0 restore latest --to "$box/back"
same_tree "$mails" "$box/back"
run 0 prune --now

# Another one goes away altogether: check tells with 13, and the Maildir gives it back.
for pack in $(find "$box/repo/pack" -type f); do rm -f "$pack"; done
run 13 check
says "the store does not have it"
run 3 repair packs --from "$mails"
run 0 snapshot "$mails"
hints "reading everything"
run 0 restore latest --to "$box/back2"
same_tree "$mails" "$box/back2"
# What nobody can bring back is forgotten with its snapshots.
run 0 forget --keep-last 1 --force
run 0 prune --now
run 0 check --read-data
says "no problems"

# The store goes back: what is missing is named, to who saw it, who knows the head, and who only looks.
rm -rf "$box/older"
cp -r "$box/repo" "$box/older"
mail "$mails/new/1700000999.M9P1.host" "The newest"
run 0 snapshot "$mails" --json
id=$(printf '%s\n' "$out" | tail -1 | sed 's/.*"id":"\([0-9a-f]\{8\}\).*/\1/')
run 0 stats --json
head=$(printf '%s\n' "$out" | sed 's/.*"head":"\([^"]*\)".*/\1/')
cp -r "$box/repo" "$box/cut"
chmod -R u+w "$box/cut"
for record in "$box/cut"/ledger/*; do
	[ -e "$box/older/ledger/$(basename "$record")" ] || rm -f "$record"
done
chmod -R u+w "$box/repo"
mv "$box/repo" "$box/newer"
mv "$box/cut" "$box/repo"
run 13 snapshots
hints "missing: snapshot $id"
hints "missing: what ledger record"
hints "1 snapshots and 1 packs that were seen are missing"
run 13 snapshots --cache-folder "$box/fresh" --expect-head "$head"
hints "records and the snapshots that they added"
hints "packs of sessions that they opened are there"
run 13 check --cache-folder "$box/fresh2"
says "snapshots made since are not seen"
