# The password is asked for on the terminal, twice for a new repository, never shown, and Ctrl-C ends the prompt.
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || skip "there is no python3 to play a terminal"
unset MAILHOLD_KEY_FILE

# typed CODE ANSWER… -- WORDS…: answers each prompt in turn; ^C is the key.
typed()
{
	last=$*
	python3 - "$MAILHOLD" "$@" >"$box/out" 2>"$box/err" <<'END' || die "$(cat "$box/err")"
import os, pty, select, sys
program, want, rest = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
answers, words = rest[:rest.index('--')], rest[rest.index('--') + 1:]
pid, fd = pty.fork()
if pid == 0:
	os.execv(program, ['mailhold'] + words)
shown, waiting = b'', b''
while True:
	try:
		if not select.select([fd], [], [], 60)[0]:
			sys.exit('it waits for ever after %r' % shown)
		got = os.read(fd, 4096)
	except OSError:
		break
	if not got:
		break
	shown += got
	waiting += got
	if waiting.rstrip().endswith(b':') and answers:
		answer = answers.pop(0)
		waiting = b''
		os.write(fd, b'\x03' if answer == '^C' else answer.encode() + b'\n')
sys.stdout.buffer.write(shown)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
if code != want:
	sys.exit('it ended with %d after %r' % (code, shown))
END
	out=$(cat "$box/out")
	says_not "horse"
}

typed 2 'horse one' 'horse two' -- init
says "the two passwords differ"
typed 2 '' -- init
says "the password is empty"
[ ! -e "$box/repo" ] || die "a repository was made without a password"
typed 0 'correct horse' 'correct horse' -- init
says "repository"
typed 0 'wrong horse' 'correct horse' -- snapshots
says "wrong password, try again"
typed 12 'horse a' 'horse b' 'horse c' -- snapshots
typed 130 '^C' -- snapshots
says "interrupted"
typed 130 'horse' '^C' -- -r "$box/other" init
[ ! -e "$box/other" ] || die "an interrupted init made a repository"
echo "ok"
