# The server of faulty_imap.py, its faults on request. Source it after lib.sh and dovecot.sh; server= at first. start FAULT… gives $url and $port and forgets
# what an earlier run remembered of its targets; stop ends it and fails when it has failed.
start() # FAULT…
{
	port=$(dovecot_free_port) url=''
	rm -rf "$box/state"
	python3 "$(dirname "$0")/faulty_imap.py" "$box/tls/server.pem" "$box/tls/server.key" "$port" "$box/dump" "$@" 2>"$box/server.log" &
	server=$!
	url=imaps://ann@127.0.0.1:$port
	for _ in $(seq 200); do
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
		sleep 0.05
	done
	die "the server does not start: $(cat "$box/server.log")"
}
stop()
{
	kill "$server"
	wait "$server" 2>/dev/null
	server=''
	! grep -q Traceback "$box/server.log" || die "the server failed: $(cat "$box/server.log")"
}
