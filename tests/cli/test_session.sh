# Who is writing: a run that stands still on another machine is listed with account, host and key; fenced, it begins again when it goes on,
# and nothing is lost. A dead one is fenced, and what it had uploaded goes with the next prune.
. "$(dirname "$0")/lib.sh"
mails=$box/ann/Maildir
maildir "$mails"
init
run 0 session list
hints "nobody is writing"
run 0 session list --json
says '{"sessions":[]}'
run 2 session
run 2 session fence
hints "NUMBER"
run 2 session fence ann
hints "not 'ann'"
run 2 session end 4
hints "list or fence"
run 1 session fence 3
hints "there never was a session 3"

number=0
more_mail()
{
	for i in $(seq 2500); do
		number=$((number + 1))
		printf 'From: a@example.org\nSubject: Mail %d\n\n%s\n' "$number" "$RANDOM $RANDOM $RANDOM" \
			>"$mails/cur/1700001$(printf %07d "$number").M1P1.host:2,S"
	done
}

# caught COMMAND…: starts a run in the background and leaves it stopped (SIGSTOP) as soon as its session has told its account; $pid,
# $session. It stands still while we look, so that it cannot be done before. If it was all the same, again with more to do.
caught()
{
	for try in $(seq 20); do
		more_mail
		MAILHOLD_PARTIAL_MS=1 "$MAILHOLD" "$@" >"$box/run.out" 2>"$box/run.err" </dev/null &
		pid=$!
		while sleep 0.01 && kill -STOP "$pid" 2>/dev/null; do
			run 0 session list --json
			session=$(printf '%s\n' "$out" | sed -n 's/.*"session":\([0-9]*\),.*"account":"ann".*/\1/p')
			[ -n "$session" ] && return
			kill -CONT "$pid"
		done
		wait "$pid" || die "the run ended with $?: $(cat "$box/run.err")"
	done
	die "no run could be stopped in $try tries"
}

run 0 key add --role deposit --label laptop --new-key-file "$box/laptop.key"
run 0 key add --role keeper --label cleaner --new-key-file "$box/keeper.key"
caught snapshot "$mails" --key-file "$box/laptop.key" --cache-folder "$box/cache.laptop"
run 0 session list
says "laptop"
says "deposit"
says "ann"
says "$(uname -n)"
run 0 session list --json
says '"label":"laptop","role":"deposit","self":false,"opened":"'
says '"host":"'
says '"snapshot":"'
# A keeper sees no names; a depositor looks and ends nothing.
run 0 --key-file "$box/keeper.key" session list --json
says "\"session\":$session,"
says_not "laptop"
says_not '"account":"ann"'
run 1 --key-file "$box/laptop.key" session fence "$session"
hints "may not fence sessions"
run 0 session fence -n "$session"
says "would fence session $session"
run 0 --key-file "$box/keeper.key" session fence "$session"
says "fenced session $session"
run 1 session fence "$session"
hints "it was fenced"
run 0 session list --json
says '{"sessions":[]}'
# It goes on, finds out, begins again, and is done.
kill -CONT "$pid"
wait "$pid" || die "the fenced run ended with $?: $(cat "$box/run.err")"
grep -q "the run begins again" "$box/run.err" || die "it does not say that it began again: $(cat "$box/run.err")"
run 0 restore latest --to "$box/back"
same_tree "$mails" "$box/back"

# Dead: what it had not committed goes.
caught snapshot "$mails"
kill -KILL "$pid"
wait "$pid" 2>/dev/null
run 0 session fence --json "$session"
says '"type":"fenced"'
run 0 prune --now
run 0 check --read-data
says "no problems"
run 0 snapshot "$mails"
run 0 restore latest --to "$box/back2"
same_tree "$mails" "$box/back2"
echo "ok"
