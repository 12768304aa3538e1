# A Maildir goes in and comes back the same; again does nothing; a place in use is left alone.
. "$(dirname "$0")/lib.sh"
maildir "$box/ann/Maildir"

init
says "repository"
hints "keep a copy of the key file"
[ "$(stat -c %a "$box/key")" = 600 ] || die "the key file can be read by others"
run 1 init
run 0 snapshot "$box/ann/Maildir"
says "of ann: 4 items"
says "4 new"
says "head "
run 0 snapshot "$box/ann/Maildir"
says "nothing changed"
run 0 snapshots
says "ann"
says " 4 "
[ "$(printf '%s\n' "$out" | wc -l)" = 3 ] || die "there are not two snapshots and a title"

run 0 restore latest --to "$box/back"
says "restored 4 items"
same_tree "$box/ann/Maildir" "$box/back"
run 0 restore latest --to "$box/back"
says "restored 0 items"
says "4 were there already"
same_tree "$box/ann/Maildir" "$box/back"

# A place that holds something else gets a dated folder, and the same command uses it again.
mkdir -p "$box/used"/{cur,new,tmp}
mail "$box/used/cur/1800000000.M1P1.other:2," "Mine"
run 0 restore latest --to "$box/used"
hints "is not empty"
says "folder 'Restored $(date +%Y-%m-%d)"
folders=$(ls -A "$box/used" | wc -l)
run 0 restore latest --to "$box/used"
says "restored 0 items"
[ "$(ls -A "$box/used" | wc -l)" = "$folders" ] || die "the second run made more folders"
[ "$(ls "$box/used/cur" | wc -l)" = 1 ] || die "something was put beside the old mail"
run 0 restore latest~1 --to "$box/used"
says "(2)'"

# Into the place itself when asked, and then only what is missing.
rm "$box/ann/Maildir/cur/1700000002.M2P1.host:2,FS"
run 0 restore latest --to "$box/ann/Maildir" --into .
says "restored 1 items"
says "3 were there already"
same_tree "$box/back" "$box/ann/Maildir"

# A plan changes nothing.
run 0 restore latest --to "$box/nowhere" --plan
says "would restore 4 items"
[ ! -e "$box/nowhere" ] || die "a plan made something"

# --dry-run stores nothing.
mail "$box/ann/Maildir/new/1700000009.M9P1.host" "New"
before=$(find "$box/repo" -type f | sort | xargs cat | cksum)
run 0 snapshot -n "$box/ann/Maildir"
says "1 new"
says "nothing was stored"
[ "$before" = "$(find "$box/repo" -type f | sort | xargs cat | cksum)" ] || die "a dry run stored something"
echo "ok"
