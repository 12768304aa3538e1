# "She deleted the folder last Tuesday": one command brings a whole folder back, and nothing else is touched.
. "$(dirname "$0")/lib.sh"
mails="$box/ann smith/Maildir"
maildir "$mails"
for i in $(seq 10 29); do
	mail "$mails/.Sent/cur/17000000$i.M1P1.host:2,S" "Letter $i"
done
init
run 0 -r "$box/repo" snapshot "$mails"
cp -a "$mails" "$box/before"
rm -rf "$mails/.Sent"
rm "$mails/cur/1700000001.M1P1.host:2,S"
run 0 snapshot "$mails"
says "22 removed"
run 0 -r "$box/repo" deleted
says "Letter 29"
says "Lunch on Friday"
printf '%s\n' "$out" | sed -n 's/^  mailhold \(restore .*\)$/\1/p' >"$box/commands"
[ "$(wc -l <"$box/commands")" = 2 ] || die "not one command for the folder and one for the mail"
grep -q -- "-r $box/repo" "$box/commands" || die "the commands do not name the repository"
unset MAILHOLD_REPOSITORY
while read -r command; do
	eval "\"\$MAILHOLD\" $command" >"$box/out" 2>"$box/err" </dev/null || die "$command fails: $(cat "$box/err")"
done <"$box/commands"
same_tree "$box/before" "$mails"
run 0 -r "$box/repo" deleted --since 1h
run 0 -r "$box/repo" snapshot "$mails"
run 0 -r "$box/repo" deleted
hints "nothing is gone"
echo "ok"
