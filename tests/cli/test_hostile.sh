# Names and titles from outside never act on a terminal, and places with odd names can be pasted back.
. "$(dirname "$0")/lib.sh"
mails=$box/eve/Maildir
maildir "$mails"
escape=$(printf '\033')
odd="$mails/.A#b:c%d ${escape}[31m'\$(reboot)\`"
mkdir -p "$odd"/{cur,new,tmp} || skip "the file system does not take odd names"
mail "$odd/cur/1700000010.M1P1.ho#st%41:2,S" "Red ${escape}]0;title${escape}\\ =?utf-8?q?=1B[2J=C2=9B31m?= end"
mail "$mails/cur/1700000011.-rf.host:2," "$(printf 'back\bspace \342\200\256 turned \377\376 bytes')"
init

no_controls()
{
	LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]' "$box/out" "$box/err" && die "a control byte reaches the terminal"
	grep -qP '[\x{80}-\x{9f}\x{202a}-\x{202e}\x{2066}-\x{2069}]' "$box/out" && die "a control character reaches the terminal"
	iconv -f utf-8 -t utf-8 "$box/out" >/dev/null || die "it does not print UTF-8"
}

run 0 snapshot "$mails"
no_controls
run 0 ls
no_controls
says "%23b"
run 0 find Red
no_controls
place=$(first_place)
case $place in
*[\'\"\`\$\ \(]*) die "the place needs quotes" ;;
esac
run 0 cat "$place"
cmp "$box/out" "$odd/cur/1700000010.M1P1.ho#st%41:2,S" || die "cat gives other bytes"
run 0 ls "${place%#*}"
no_controls
run 0 ls latest:INBOX
no_controls
run 0 --json ls latest:INBOX
no_controls
rm -rf "$odd"
run 0 snapshot "$mails"
run 0 diff latest~1 latest
no_controls
run 0 deleted
no_controls
run 0 restore latest~1 --to "$box/back" --plan
no_controls
run 1 ls "$(printf 'latest:no\033[31mthing')"
no_controls
run 1 ls "$(printf 'no\033[31mthing')"
no_controls
run 2 "$(printf 'no\033[31mthing')"
no_controls
run 0 restore latest~1 --to "$box/back"
no_controls
run 0 restore "$place" --to "$box/one" --into .
says "restored 1 items"
echo "ok"
