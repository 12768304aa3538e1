# A full disk is told with a remedy, and what was committed stays.
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || skip "only root can mount a small disk"
mkdir "$box/disk"
mount -t tmpfs -o size=3m tmpfs "$box/disk" 2>/dev/null || skip "a small disk cannot be mounted here"
trap 'umount "$box/disk"; rm -rf "$box"' EXIT
mails=$box/ann/Maildir
maildir "$mails"
export MAILHOLD_REPOSITORY=$box/disk/repo
init
run 0 snapshot "$mails"
cp -a "$mails" "$box/before"
head -c 6000000 /dev/urandom | base64 >"$box/large"
mail "$mails/cur/1700000020.M1P1.host:2,S" "Large" "$(cat "$box/large")"
run 1 snapshot "$mails"
hints "No space left"
hints "try: free space"
run 0 restore latest --to "$box/back"
same_tree "$box/before" "$box/back"
run 0 check --read-data
says "no problems"
mount -o remount,size=40m "$box/disk" || skip "the small disk does not grow"
run 0 snapshot "$mails"
says "5 items"
run 0 restore latest --to "$box/back2"
same_tree "$mails" "$box/back2"

# Full again, of all commands in the one that is to make room: it says how it goes without rewriting, and so it does.
for i in 1 2 3 4; do
	head -c 1500000 /dev/urandom | base64 >"$box/piece"
	mail "$mails/cur/170000003$i.M1P1.host:2,S" "Piece $i" "$(cat "$box/piece")"
done
run 0 snapshot "$mails"
head -c 1500000 /dev/urandom | base64 >"$box/piece"
mail "$box/piece.eml" "Alone" "$(cat "$box/piece")"
cp "$box/piece.eml" "$mails/cur/1700000040.M1P1.host:2,S"
run 0 snapshot "$mails"
rm "$mails"/cur/1700000040.* "$mails"/cur/170000003[12].*
run 0 snapshot "$mails"
run 0 forget --keep-last 1
dd if=/dev/zero of="$box/disk/filler" bs=64k 2>/dev/null
truncate -s -300k "$box/disk/filler"
run 1 prune --now --max-unused 0
hints "No space left"
hints "--max-repack 0"
run 0 prune --now --max-repack 0 --json
case $out in
*'"packs_deleted":0'*) die "it freed nothing" ;;
esac
rm "$box/disk/filler"
run 0 prune --now --max-unused 0 --fence
run 0 check --read-data
says "no problems"
run 0 restore latest --to "$box/back3"
same_tree "$mails" "$box/back3"
echo "ok"
