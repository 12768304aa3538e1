# A Radicale and a Xandikos of one's own on 127.0.0.1, all of it below $box. Source it after lib.sh and dovecot.sh, then:
#   radicale_start   with TLS; users alice and bob with the password "secret"   $radicale_port, $radicale_url, $radicale_log
#   xandikos_start   without TLS and login                                      $xandikos_port, $xandikos_url, $xandikos_log
#   dav_stop         ends both
#   dav WORDS…       the independent client at $dav_at
dav_pids=

dav_wait()
{
	for _ in $(seq 400); do
		(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
		kill -0 "$2" 2>/dev/null || die "the server has ended: $(tail -5 "$3")"
		sleep 0.05
	done
	die "the server does not answer: $(tail -5 "$3")"
}

dav_needs()
{
	command -v "$1" >/dev/null && return
	if [ -n "${MAILHOLD_TEST_NO_SKIP:-}" ]; then die "$1 is not installed"; else skip "$1 is not installed"; fi
}

radicale_start()
{
	dav_needs radicale
	[ -s "$box/tls/server.pem" ] || dovecot_certificates
	radicale_port=$(dovecot_free_port) radicale_log=$box/radicale.log
	radicale_url=https://127.0.0.1:$radicale_port
	printf 'alice:secret\nbob:secret\n' >"$box/radicale.users"
	mkdir -p "$box/radicale"
	cat >"$box/radicale.conf" <<-END
		[server]
		hosts = 127.0.0.1:$radicale_port
		ssl = True
		certificate = $box/tls/server.pem
		key = $box/tls/server.key
		[auth]
		type = htpasswd
		htpasswd_filename = $box/radicale.users
		htpasswd_encryption = plain
		delay = 0
		[rights]
		type = owner_only
		[storage]
		filesystem_folder = $box/radicale
		[web]
		type = none
		[logging]
		level = info
	END
	radicale --config "$box/radicale.conf" >"$radicale_log" 2>&1 </dev/null &
	dav_pids="$dav_pids $!"
	dav_wait "$radicale_port" $! "$radicale_log"
}

xandikos_start()
{
	dav_needs xandikos
	xandikos_port=$(dovecot_free_port) xandikos_log=$box/xandikos.log
	xandikos_url=http://127.0.0.1:$xandikos_port
	mkdir -p "$box/xandikos"
	xandikos -d "$box/xandikos" -l 127.0.0.1 -p "$xandikos_port" --current-user-principal /user/ --defaults \
		>"$xandikos_log" 2>&1 </dev/null &
	dav_pids="$dav_pids $!"
	dav_wait "$xandikos_port" $! "$xandikos_log"
}

dav_stop()
{
	for pid in $dav_pids; do
		kill "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	dav_pids=
}

dav()
{
	DAV_USER=alice DAV_PASSWORD=secret DAV_CA=$box/tls/ca.pem python3 "$(dirname "$0")/dav_tool.py" "$dav_at" "$@" ||
		die "dav $*"
}
