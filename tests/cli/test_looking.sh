# "She deleted the folder last Tuesday": look, find, compare, and bring back what is gone.
. "$(dirname "$0")/lib.sh"
mails=$box/ann/Maildir
maildir "$mails"
init
run 0 snapshot --tag before "$mails"
cp -a "$mails" "$box/before"

mv "$mails/cur/1700000001.M1P1.host:2,S" "$mails/cur/1700000001.M1P1.host:2,RS"
rm "$mails/cur/1700000002.M2P1.host:2,FS"
mail "$mails/new/1700000005.M5P1.host" "Something new"
mv "$mails/new/1700000003.M3P1.host" "$mails/.Sent/cur/1700000003.M3P1.host:2,"
run 0 snapshot "$mails"
says "removed"

run 0 ls
says "INBOX"
says "inbox"
says "Sent"
run 0 ls latest:INBOX
says "Lunch on Friday"
says "1700000001.M1P1.host"
says " RS"
says_not "The contract"
run 0 ls latest~1:INBOX
says "The contract"

run 0 find contract
says "The contract"
says "INBOX#1700000002.M2P1.host"
says_not "still there"
place=$(first_place)
run 0 cat "$place"
cmp "$box/out" "$box/before/cur/1700000002.M2P1.host:2,FS" || die "cat gives other bytes"
run 0 find lunch friday --from smith
says "still there"
run 0 find lunch contract
says_not "Lunch"
hints "nothing was found"
run 0 find --subject report --collection 'S*' --kind mail --date 2026-11-22
says "Weekly report"
run 0 find --after 2026-11-23
says_not "Lunch"

run 0 diff latest~1 latest
says "+ "
says "Something new"
says "- "
says "flags S → RS"
says "> "
says "from INBOX"
says "1 added, 1 removed, 1 moved, 1 with other flags"
run 0 diff latest latest
says "nothing changed"

run 0 deleted --since 1d
says "The contract"
says_not "Lunch on Friday"
command=$(printf '%s\n' "$out" | sed -n 's/^  mailhold \(restore .*\)$/\1/p')
[ -n "$command" ] || die "it does not say how to bring it back"
rm -rf "$box/moved"
eval "\"\$MAILHOLD\" $command" >"$box/out" 2>"$box/err" || die "the command that deleted printed fails: $(cat "$box/err")"
cmp "$mails/cur/1700000002.M2P1.host:2,FS" "$box/before/cur/1700000002.M2P1.host:2,FS" || die "it did not come back"
[ ! -e "$mails/cur/1700000001.M1P1.host:2,S" ] || die "it brought back more than was asked for"

# One collection, one item, another name.
run 0 restore latest~1:Sent --to "$box/sent" --into .
says "restored 1 items"
run 0 restore "$place" --to "$box/one" --into .
says "restored 1 items"
run 0 restore latest~1 --to "$box/some" --include 'S*' --map Sent=Old
says "restored 1 items"
[ -d "$box/some/.Old" ] || die "the collection kept its name"

# Forgotten is not lost.
id=$("$MAILHOLD" snapshots | sed -n 2p | cut -d' ' -f1)
run 0 forget "$id"
says "forgot $id"
run 0 snapshots
says_not "$id"
run 0 snapshots --trash
says "$id"
run 0 forget --undo "$id"
says "brought back $id"
run 0 pin "$id"
run 0 snapshots
says "pinned"
says "before"
run 1 forget "$id"
run 0 unpin "$id"
run 0 check
says "no problems"
run 0 check --read-data
run 0 stats
says "1 accounts, 2 snapshots"
run 0 stats --json
says '"name":"item"'
says_not '"name":""'
echo "ok"
