# What a repository goes through in every kind of store. Source it after lib.sh.

# The contract of store.h against the place $1; nothing may be left on this side.
contract()
{
	mkdir "$box/tmp"
	TMPDIR=$box/tmp MAILHOLD_TEST_STORE=$1 timeout 200 "$STORE_CONTRACT" >"$box/contract" 2>&1 ||
		die "the contract of stores: $(grep -v 'OK\|RUN' "$box/contract" | head -20)"
	[ -z "$(ls -A "$box/tmp")" ] || die "temporary files are left here"
}

# Every command that touches the store, from init to a check of each byte. The Maildir $1 loses a message.
life()
{
	run 0 init
	run 1 init
	hints "not empty"
	run 0 snapshot "$1"
	says "4 new"
	rm "$1/new/"*
	run 0 snapshot "$1"
	says "1 removed"
	rm -rf "$XDG_CACHE_HOME"
	run 0 restore latest~1 --to "$box/back"
	says "restored 4 items"
	run 0 parity set 10
	run 0 parity add
	run 0 -r "$box/second" --key-file "$box/second.key" init
	run 0 copy --to "$box/second" --to-key-file "$box/second.key" --verify
	run 0 forget latest~1
	run 0 prune --trash 0d --now
	run 0 check --read-data
	says "no problems"
}
