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
echo "ok"
