# Two writers on one machine: the second waits, or is told, with exit code 11, who has the index, and harms nothing.
. "$(dirname "$0")/lib.sh"
mails=$box/ann/Maildir
maildir "$mails"
for i in $(seq 3000); do
	printf 'Subject: Mail %d\n\n%s\n' "$i" "$i $RANDOM" >"$mails/cur/1700001$(printf %06d "$i").M1P1.host:2,S"
done
maildir "$box/bob/Maildir"
init
met=0
for wait in 0.03 0.05 0.08 0.12; do
	"$MAILHOLD" snapshot --no-parent "$mails" >/dev/null 2>&1 &
	first=$!
	sleep "$wait"
	kill -STOP "$first" 2>/dev/null
	code=0
	"$MAILHOLD" --wait 0 snapshot "$box/bob/Maildir" >"$box/out" 2>"$box/err" || code=$?
	err=$(cat "$box/err")
	kill -CONT "$first" 2>/dev/null
	wait "$first" || die "the first writer failed"
	case $code in
	0) ;; # the first had not begun, or was done
	11)
		met=$((met + 1))
		hints "in use by another process, number $first"
		hints "--wait"
		hints "--cache-folder" ;;
	*) die "the second writer ended with $code" ;;
	esac
done
echo "they met $met times of 4"
run 2 --wait soon snapshot "$box/bob/Maildir"
hints "--wait"
# It waits for the one that is at work, and says so; and not longer than it was told to.
waited=0
for wait in 0.05 0.08 0.12; do
	"$MAILHOLD" snapshot --no-parent "$mails" >/dev/null 2>&1 &
	first=$!
	sleep "$wait"
	kill -STOP "$first" 2>/dev/null
	(sleep 0.5 && kill -CONT "$first" 2>/dev/null) &
	printf 'Subject: %s\n\n' "$wait" >"$box/bob/Maildir/cur/170002$wait.M1P1.host:2,S"
	run 0 --wait 60 snapshot "$box/bob/Maildir"
	case $err in
	*"waiting for up to 60 s"*) waited=$((waited + 1)) ;;
	esac
	wait "$first" || die "the first writer failed"
done
echo "it waited $waited times of 3"
# With an index of its own the second one works beside the first.
"$MAILHOLD" snapshot --no-parent "$mails" >/dev/null 2>&1 &
first=$!
run 0 --cache-folder "$box/cache2" snapshot "$box/bob/Maildir"
wait "$first" || die "the first writer failed beside the second"
run 0 check --read-data
says "no problems"
run 0 restore ann@latest --to "$box/back"
same_tree "$mails" "$box/back"
echo "ok"
