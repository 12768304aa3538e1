# Switch parity on, damage packs, read on, see what check says, and put everything right without the key.
. "$(dirname "$0")/lib.sh"
mails=$box/ann/Maildir
maildir "$mails"
head -c 1500000 /dev/urandom | base64 >"$box/body"
mail "$mails/cur/1700000100.M1P1.host:2,S" "Large" "$(cat "$box/body")"

run 2 init --parity 51
run 2 init --parity none
run 0 init
run 0 snapshot "$mails"
run 0 parity
says "new packs get no parity; 0 of 1 packs"
run 1 parity add
hints "parity set PERCENT"
run 2 parity set 0
run 2 parity give
run 0 parity set 10
says "for losses of 10 percent; 0 of 1 packs"
hints "mailhold parity add"

# What is there gets it by add, what comes gets it by itself.
run 1 check
says "has no parity"
run 0 parity add --dry-run
says "1 of 1 packs would get parity"
run 0 parity add
says "1 of 1 packs got parity"
run 0 parity add --json
says '"made":0'
mail "$mails/cur/1700000200.M2P1.host:2,S" "Later"
run 0 snapshot "$mails"
run 0 parity --json
says '"percent":10'
says '"protected":2'
run 0 check --read-data
says "no problems"
cp -a "$box/repo" "$box/whole"

# damage FILE OFFSET LENGTH: other bytes there
damage()
{
	chmod u+w "$1"
	head -c "$3" /dev/urandom | dd of="$1" bs=4096 seek="$2" oflag=seek_bytes conv=notrunc status=none
}
pack=$(find "$box/repo/pack" -type f -size +1000k)
parity=${pack/\/pack\//\/parity\/}
[ -f "$parity" ] || die "the large pack has no parity"
size=$(stat -c %s "$pack")

# One run of nearly ten percent: reading goes on, check tells, repair needs no key.
damage "$pack" 60000 $((size / 10 - 5000))
run 0 restore latest --to "$box/back"
same_tree "$mails" "$box/back"
hints "read with the help of its parity"
[ "$(printf '%s\n' "$err" | grep -c 'with the help of its parity')" = 1 ] || die "one pack was told more than once"
run 1 check --read-data
says "all can be repaired"
says "no item of a snapshot is affected"
(
	unset MAILHOLD_KEY_FILE
	export MAILHOLD_REPOSITORY=
	run 0 repair parity -r "$box/repo"
	says "pack put right"
	says "in damaged/pack/"
	says "1 packs and 0 parities put right, 0 cannot"
) || exit 1
run 0 check --read-data
says "no problems"
diff -r "$box/whole/pack" "$box/repo/pack" || die "the pack is not what it was"
[ "$(find "$box/repo/damaged" -type f | wc -l)" = 1 ] || die "the damaged pack was not kept"

# The parity itself: damaged it is put right from the pack, missing it is made again with a key.
damage "$parity" 10 3000
run 1 check
says "the pack is fine"
run 0 repair parity --json
says '"parities_repaired":1'
rm "$parity"
run 1 check
says "has no parity"
run 0 repair parity
hints "1 packs have no parity"
run 0 parity add
diff -r "$box/whole/parity" "$box/repo/parity" || die "the parity is not what it was"

# More than it can take: told, and nothing is touched.
damage "$pack" 60000 $((size / 4))
cp "$pack" "$box/before"
run 1 repair parity
says "not repaired"
says "1 cannot be repaired"
cmp "$pack" "$box/before" || die "a pack that cannot be repaired was changed"
run 1 check --read-data
says "more than the parity can give back"
cp -f "$box/whole/${pack#"$box/repo/"}" "$pack"
run 0 repair parity

# It goes with its pack, and what is left over without one goes, too.
rm "$mails/cur/1700000100.M1P1.host:2,S"
run 0 snapshot "$mails"
run 0 forget --keep-last 1 --force
# Damage does not stop prune from moving what is needed: it moves the right bytes.
damage "$pack" $((size - size / 10 + 4096)) $((size / 10 - 12000))
left=$box/repo/parity/00
mkdir -p "$left"
cp "$parity" "$left/0000000000000001-00000000000000000000000000000001"
run 0 prune --now
[ ! -e "$parity" ] || die "the parity outlived its pack"
[ ! -e "$left/0000000000000001-00000000000000000000000000000001" ] || die "an orphan of parity stayed"
run 0 check --read-data
says "no problems"
run 0 parity
packs=$(find "$box/repo/pack" -type f | wc -l)
says "$packs of $packs packs"
run 0 parity set off
says "new packs get no parity"
run 0 check
