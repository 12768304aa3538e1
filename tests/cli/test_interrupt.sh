# Ctrl-C ends a run with 130 and harms nothing: the same command again goes on, and everything comes back.
. "$(dirname "$0")/lib.sh"
# A SIGINT that meets the search for leaks at a run's end leaves that search waiting for ever (LeakSanitizer stops all threads by ptrace), so
# that runs which get one are not searched.
unsearched=ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
mails=$box/ann/Maildir
maildir "$mails"
for i in $(seq 3000); do
	printf 'From: a@example.org\nSubject: Mail %d\n\n%s\n' "$i" "$i $RANDOM $RANDOM $RANDOM" \
		>"$mails/cur/1700001$(printf %06d "$i").M1P1.host:2,S"
done
init
interrupted=0
for wait in 0.01 0.03 0.06 0.1 0.15 0.2; do
	# A shell starts background jobs with SIGINT ignored; timeout does not.
	code=0
	env "$unsearched" timeout -s INT "$wait" "$MAILHOLD" snapshot "$mails" >"$box/out" 2>"$box/err" || code=$?
	case $code in
	0) ;;
	124 | 130)
		interrupted=$((interrupted + 1))
		if [ -s "$box/err" ]; then
			grep -q "interrupted; what was committed stays" "$box/err" || die "it says: $(cat "$box/err")"
		fi ;;
	*) die "an interrupted run ended with $code: $(cat "$box/err")" ;;
	esac
done
echo "$interrupted of 6 runs were interrupted"
run 0 snapshot "$mails"
says "3,004 items"
run 0 restore latest --to "$box/back"
same_tree "$mails" "$box/back"
run 0 check --read-data
says "no problems"
# The password command is interrupted like everything else.
unset MAILHOLD_KEY_FILE
code=0
env "$unsearched" timeout --preserve-status -s INT 0.3 "$MAILHOLD" ls --password-command 'sleep 2; echo x' >"$box/out" 2>"$box/err" || code=$?
[ "$code" = 130 ] || die "interrupting the password command ends with $code: $(cat "$box/err")"
echo "ok"
