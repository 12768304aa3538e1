# The exit code tells what happened, and the message what to try.
. "$(dirname "$0")/lib.sh"
maildir "$box/ann/Maildir"

run 2
hints "a command is missing"
run 2 snapshto x
hints "did you mean snapshot?"
run 2 snapshot --no-such-option x
hints "unknown option --no-such-option for snapshot"
hints "try: mailhold help snapshot"
run 2 snapshot
run 2 diff one
run 2 diff one two three
run 2 restore latest
hints "--to"
run 2 restore latest --to x --collision sometimes
run 2 restore latest --to x --into ../x
run 2 cat latest
run 2 find --kind letter
run 2 find --date 31.12.2025
run 2 snapshot --compression best x
run 2 repair everything
hints "the ledger, the index or packs"
run 2 repair index --from x
hints "repair packs"
run 2 repair packs --from-key-file x
hints "go with --from"
run 2 check --read-data=half
hints "a percentage"
run 2 mount folder
hints "not available in this version"
run 2 forget
hints "--keep-daily"
run 2 forget latest --keep-last 3
run 2 forget latest --force
run 2 forget --keep-last many
run 2 forget --keep-within yesterday
run 2 prune --max-unused 101
run 2 prune --max-repack much
run 2 prune --trash 2026-01-01
run 2 prune --force
run 2 snapshot --account a "$box/ann/Maildir" "$box/other"
run 2 snapshot "$box/a/Maildir" "$box/b/../a/mail"
hints "would both be the account a"

run 1 snapshots
hints "$box/key"
printf '%064d\n' 5 >"$box/key"
run 10 snapshots
hints "try: mailhold init"
run 10 -r "$box/nothing" ls

rm "$box/key"
init
run 1 snapshot "$box/nothing at all"
run 1 ls latest
run 0 snapshot "$box/ann/Maildir"
run 1 ls latest:Nothing
run 1 ls ffff0000
run 1 cat latest:INBOX#nothing
run 12 ls --key-file <(printf '%064d\n' 7)
run 2 ls --key-file <(echo "not a key")
run 2 -r "$box/repo" ls --key-file "$box/key" --password-file "$box/key"
head=$("$MAILHOLD" snapshots --json >/dev/null && "$MAILHOLD" stats --json | sed 's/.*"head":"\([^"]*\)".*/\1/')
run 0 ls --expect-head "$head"
run 13 ls --expect-head "999:$(printf '%064d' 0)"

# The same with passwords.
unset MAILHOLD_KEY_FILE
export MAILHOLD_REPOSITORY=$box/repo2
printf '\n' >"$box/empty"
printf 'correct horse\nbattery\n' >"$box/password"
run 2 init --password-file "$box/empty"
run 0 init --password-file "$box/password"
run 12 snapshots --password-command 'echo wrong'
hints "try: the password"
run 0 snapshots --password-command 'echo correct horse'
MAILHOLD_PASSWORD='correct horse' run 0 snapshots
MAILHOLD_PASSWORD_FILE=$box/password run 0 snapshots
run 1 snapshots --password-command 'exit 1'

# Help and version need no repository.
unset MAILHOLD_REPOSITORY
run 0 help
says "not available in this version:"
for name in init snapshot backup snapshots ls cat find diff deleted restore forget pin unpin check stats key version help prune; do
	run 0 help "$name"
	says "usage: mailhold"
	run 0 "$name" --help
done
run 0 version
says "mailhold 0."
run 0 --version

# Standard output is not swallowed when it fails, and a closed pipe is no failure.
if [ -w /dev/full ]; then
	"$MAILHOLD" help >/dev/full 2>"$box/err" && die "a full disk behind stdout went unseen"
fi
"$MAILHOLD" help 2>"$box/err" | true
[ "${PIPESTATUS[0]}" = 0 ] || die "a closed pipe is a failure"
[ ! -s "$box/err" ] || die "a closed pipe is talked about"
echo "ok"
