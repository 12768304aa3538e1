# Copies to a second repository with a password of its own: equal byte for byte, cheap the second time, resumed after a kill; what is
# damaged is named; keepers and the repository itself are refused.
. "$(dirname "$0")/lib.sh"
mails=$box/ann/Maildir
maildir "$mails"
for i in $(seq 2000); do
	printf 'Subject: Mail %d\n\n%s\n' "$i" "$i $RANDOM" >"$mails/cur/1700001$(printf %06d "$i").M1P1.host:2,S"
done
for i in 1 2 3; do
	head -c 400000 /dev/urandom | base64 >"$mails/cur/170000999$i.M1P1.host:2,F"
done
maildir "$box/bob/Maildir"
echo 'second pass' >"$box/second"
two=(--password-file "$box/second" -r "$box/two")
to=(--to "$box/two" --to-password-file "$box/second")
(unset MAILHOLD_KEY_FILE && run 0 init "${two[@]}") || exit 1
init
run 0 snapshot --tag first "$mails"
run 0 snapshot "$box/bob/Maildir"

# What makes no sense is refused before anything is written.
run 2 copy
hints "--to"
run 2 copy latest --account ann "${to[@]}"
hints "not both"
run 2 copy "${to[@]}" --to-key-file "$box/key"
hints "--to-key-file"
run 12 copy --to "$box/two" --to-key-file "$box/key"
hints "copy to"
run 2 copy --to "$box/repo" --to-key-file "$box/key"
hints "the same repository"
run 1 copy --account carol "${to[@]}"
run 0 key add --role keeper --label cleaner --new-key-file "$box/keeper.key"
run 1 --key-file "$box/keeper.key" copy "${to[@]}"
hints "may not copy"

# Killed in the middle, then again: nothing that was safe is read twice, and nothing of the first try is left over.
run 0 copy -n "${to[@]}"
says "would copy 2 snapshots"
for wait in 0.05 0.1 0.2 0.3; do
	MAILHOLD_PARTIAL_MS=20 "$MAILHOLD" copy "${to[@]}" >/dev/null 2>&1 &
	sleep "$wait"
	kill -KILL $! 2>/dev/null
	wait $! 2>/dev/null
done
run 0 copy --verify "${to[@]}"
run 0 copy --verify "${to[@]}"
says "copied 0 snapshots"
says "2 were there already"
says "0 items (0 B) read"
unset MAILHOLD_KEY_FILE
run 0 snapshots "${two[@]}"
says "first"
says "copied"
says_not "partial"
run 0 restore ann@latest --to "$box/back" "${two[@]}"
same_tree "$mails" "$box/back"
run 0 check --read-data "${two[@]}"
says "no problems"
export MAILHOLD_KEY_FILE=$box/key

# Only what changed is read, and what the copy says of itself is what the origin says.
mail "$mails/new/1700010000.M1P1.host" "One more"
run 0 snapshot --tag second "$mails"
run 0 copy --json --since 1d --tag second --tag third "${to[@]}"
says '"copied":1'
says '"items_read":1,'
run 0 snapshots
here=$(printf '%s\n' "$out" | awk '/second/ { print $2, $3, $4, $5, $6, $7, $8 }')
run 0 snapshots --key-file "$box/key"
MAILHOLD_KEY_FILE='' run 0 snapshots "${two[@]}"
there=$(printf '%s\n' "$out" | awk '/second/ { print $2, $3, $4, $5, $6, $7, $8 }')
[ "$here" = "$there" ] || die "'$here' became '$there'"
# What an earlier run copied and did not compare is compared when it is asked for.
run 0 copy --json --verify "${to[@]}"
says '"copied":0'
says '"items_verified":'
says_not '"items_verified":0,"bytes_stored"'
run 0 copy --verify "${to[@]}"
says "compared with their origins"
# The remedy is about the repository that is not there.
run 10 copy --to "$box/nowhere" "${to[@]:2}"
hints "mailhold init -r $box/nowhere"

# Going on from the copy, the source's cursors hold: nothing is read again.
run 0 snapshot "$mails" "${two[@]}"
says "nothing changed"

# A damaged item is named, the rest is copied, and the exit code is 3.
pack=$(find "$box/repo/pack" -type f -printf '%s %p\n' | sort -n | tail -1 | cut -d' ' -f2)
cp "$pack" "$box/whole"
chmod 600 "$pack"
printf '\377\000\377' | dd of="$pack" bs=1 seek=$(($(stat -c %s "$pack") / 2)) conv=notrunc 2>"$box/dd"
(unset MAILHOLD_KEY_FILE && run 0 init --password-file "$box/second" -r "$box/three") || exit 1
run 3 copy ann@latest --to "$box/three" --to-password-file "$box/second"
hints "skipped INBOX#"
says "could not be copied"
unset MAILHOLD_KEY_FILE
run 0 check --read-data --password-file "$box/second" -r "$box/three"
says "no problems"
run 0 snapshots --password-file "$box/second" -r "$box/three"
says "gaps"

# Once more while the damage is there: nothing is put, and it is told again. When it is mended the copy is completed, the one with gaps is
# in the trash, and a third run finds nothing to do. A key that only adds leaves it where it is.
export MAILHOLD_KEY_FILE=$box/key
three=(--to "$box/three" --to-password-file "$box/second")
run 3 copy ann@latest "${three[@]}"
says "there already, not whole:"
says "still cannot be read"
hints "skipped INBOX#"
run 3 copy ann@latest --json "${three[@]}"
says '"type":"lacking"'
says '"lacking":1'
run 0 copy -n ann@latest "${three[@]}"
says "would look again"
(unset MAILHOLD_KEY_FILE && run 0 init --password-file "$box/second" -r "$box/five") || exit 1
(unset MAILHOLD_KEY_FILE && run 0 key add --role deposit --label adder --new-key-file "$box/five.key" --password-file "$box/second" -r "$box/five") || exit 1
run 3 copy ann@latest --to "$box/five" --to-key-file "$box/five.key"
cp "$box/whole" "$pack"
run 0 copy ann@latest --verify "${three[@]}"
says "in place of"
says "now in the trash"
run 0 copy ann@latest --verify "${three[@]}"
says "copied 0 snapshots"
says "1 were there already"
run 0 copy ann@latest --json --to "$box/five" --to-key-file "$box/five.key"
says '"instead_of":"'
says '"instead_kept":true'
run 0 copy ann@latest --to "$box/five" --to-key-file "$box/five.key"
says "1 were there already"
unset MAILHOLD_KEY_FILE
for name in three five; do
	run 0 restore ann@latest --to "$box/back.$name" --password-file "$box/second" -r "$box/$name"
	same_tree "$mails" "$box/back.$name"
done
run 0 snapshots --password-file "$box/second" -r "$box/three"
says_not "gaps"
run 0 snapshots --trash --password-file "$box/second" -r "$box/three"
says "gaps"

# A copy that is damaged is found out by who looks.
pack=$(find "$box/three/pack" -type f -printf '%s %p\n' | sort -n | tail -1 | cut -d' ' -f2)
chmod 600 "$pack"
printf '\377\000\377' | dd of="$pack" bs=1 seek=$(($(stat -c %s "$pack") / 2)) conv=notrunc 2>"$box/dd"
export MAILHOLD_KEY_FILE=$box/key
run 0 copy ann@latest "${three[@]}"
run 1 copy ann@latest --verify "${three[@]}"
hints "the copy differs from its origin"

# Asked to stop, it says so and ends with 130.
export MAILHOLD_KEY_FILE=$box/key
(unset MAILHOLD_KEY_FILE && run 0 init --password-file "$box/second" -r "$box/four") || exit 1
"$MAILHOLD" copy --to "$box/four" --to-password-file "$box/second" >"$box/out" 2>"$box/err" &
sleep 0.08
kill -INT $! 2>/dev/null
code=0
wait $! || code=$?
case $code in
0 | 3) echo "the copy was done before the signal" ;;
130) ;;
*) die "an interrupted copy ended with $code" ;;
esac
echo "ok"
