# A CalDAV and CardDAV server that lies: for each fault, what a restore gives is what a reader must end up with, what could not be read
# is told, and nothing that could change anything is ever asked for.
. "$(dirname "$0")/lib.sh"
liar=$(dirname "$0")/dav_liar.py
echo secret >"$box/pw"
echo 0 >"$box/stage"
: >"$box/offences"
: >"$box/requests"
python3 "$liar" serve "$box" >"$box/port" 2>"$box/log" </dev/null &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$box"' EXIT
for _ in $(seq 400); do
	[ -s "$box/port" ] && break
	sleep 0.05
done
port=$(cat "$box/port")
export MAILHOLD_SOURCE_PASSWORD_FILE=$box/pw
init

# look CODE USER [WORDS…]: a snapshot of what USER has.
look()
{
	local code=$1 user=$2
	shift 2
	run "$code" snapshot --source-tls off --source-wait 0 "$@" "dav://$user@127.0.0.1:$port"
	no_offence
}

no_offence()
{
	[ ! -s "$box/offences" ] || die "$(cat "$box/offences")"
}

# What the latest snapshot restores is what USER's reader must end up with at STAGE.
gives()
{
	rm -rf "$box/got"
	run 0 restore "$1@latest" --to "files:$box/got"
	find "$box/got" -type d -empty -delete
	same_tree "$box/want/$1/$2" "$box/got"
}

asked()
{
	grep -c "^$1 " "$box/requests"
}

bodies="absolute encoded twice cut_off_once breaks_off busy passes_over wrong_bytes no_cr no_cr_no_length cr_as_reference cdata
	too_many multiget_500 multiget_501 multiget_cut nonsense gone gone_silently heavy large digest"
changes="honest weak no_token no_sync no_etag pages expired sync_500 sync_404 for_ever no_new_token listed_507"
unreadable="cut_off bomb says_nothing refused_list html listed_507_for_ever poison outside"
# shellcheck disable=SC2086 # lists of words
python3 "$liar" expect "$box/want" $bodies $changes $unreadable cut_off_later emptied || die "nothing to expect"

# What is wrong with bodies: they come at the first run.
for user in $bodies; do
	path=
	[ $user != digest ] || path=/dav/digest/
	run 0 snapshot --source-tls off "dav://$user@127.0.0.1:$port$path"
	no_offence
	gives $user 0
done

# What is wrong with changes: something has moved at the second run, nothing at the third.
for user in $changes; do
	echo 0 >"$box/stage"
	look 0 $user
	echo 1 >"$box/stage"
	look 0 $user
	says '1 new, 1 changed, 1 removed'
	gives $user 1
	case $user in
	honest | weak | pages | listed_507)
		look 0 $user
		says 'nothing changed'
		;;
	esac
done

# An account that nobody has to log in to, where somebody is told more.
run 0 snapshot --source-tls off --account open "dav://honest@127.0.0.1:$port/open/"
says '14 items'
run 0 snapshot --source-tls off --account token --source-token-command 'echo good' "dav://token@127.0.0.1:$port"
says '14 items'

# Told, and the rest goes on; what was kept stays until the server can tell again.
echo 0 >"$box/stage"
for user in $unreadable; do
	look 3 $user
	[ $user != outside ] || hints '4 resources that are not in it'
	gives $user 0
done
look 0 cut_off_later
echo 1 >"$box/stage"
look 3 cut_off_later
gives cut_off_later 1

# A source that is empty of a sudden is believed, and the earlier snapshot has everything.
echo 0 >"$box/stage"
look 0 emptied
echo 1 >"$box/stage"
look 0 emptied
says '10 removed'
gives emptied 1
run 0 restore emptied@latest~1 --to "files:$box/before"
[ "$(find "$box/before" -name '*.ics' | wc -l)" = 10 ] || die "the earlier snapshot has lost something"

# Nothing that is sent to another server, no end that is none.
look 1 elsewhere
hints other.example.org
look 1 in_clear
hints elsewhere.example.org
look 1 home_elsewhere
hints other.example.org
look 1 circle
hints 'sends us on more than'
look 1 nothing
hints 'no calendars and address books found'
echo wrong >"$box/wrong"
look 1 honest --source-password-file "$box/wrong"
hints 'refuses the login'
[ "$(asked honest)" -gt 5 ] || die "the server was not even asked"
run 0 check --read-data

# Nobody is there: told at once.
kill $server
wait $server 2>/dev/null
SECONDS=0
run 1 snapshot --source-tls off "dav://honest@127.0.0.1:$port"
[ $SECONDS -lt 30 ] || die "it took $SECONDS s to find that nobody is there"
