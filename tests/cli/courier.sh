# A Courier of one's own on 127.0.0.1, all of it below $box. Source it after lib.sh and dovecot.sh, then: courier_start (false where it
# cannot be: it needs root, and may mount), and courier_user NAME for each user (password "secret").   $courier_port (TLS), $courier_plain_port
# Courier has its folders compiled in, so its unpacked packages are laid over /usr and /etc in a mount namespace of its own.
courier_beside=${MAILHOLD_TEST_SERVERS:-/opt/mailhold-test-servers}
courier_view='
	set -eu
	d=$1 p=$2; shift 2
	mount -t overlay overlay -o "lowerdir=$p/usr:/usr" /usr
	mount -t overlay overlay -o "lowerdir=$p/etc:/etc,upperdir=$d/etc,workdir=$d/etc.work" /etc
	mount --bind "$d/run" /run
	exec "$@"'

courier_user()
{
	local run=$box/k
	nsenter --mount --target "$courier_pid" -- bash -c '
		set -eu
		home=$1/mail/$2
		mkdir -p "$home"
		maildirmake.courier "$home/Maildir"
		maildirmake.courier -f Sent "$home/Maildir"
		chown -R 65534:65534 "$home"
		hash=$(printf "secret\nsecret\n" | userdbpw -md5)
		touch /etc/courier/userdb; chmod 600 /etc/courier/userdb
		userdb "$2" set uid=65534 gid=65534 home="$home" mail="$home/Maildir" systempw="$hash"
		makeuserdb' bash "$run" "$1" >>"$run/log" 2>&1 || die "no user $1: $(tail -5 "$run/log")"
}

courier_start()
{
	local run=$box/k
	[ "$(id -u)" = 0 ] && [ -x "$courier_beside/usr/sbin/couriertcpd" ] || return 1
	mkdir -p "$run"/{run/courier/authdaemon,etc/courier,etc.work,mail}
	chmod 755 "$box" "$run" "$run/mail"
	unshare --mount --propagation private -- bash -c "$courier_view" bash "$run" "$courier_beside" true 2>>"$run/log" || return 1
	printf 'authmodulelist="authuserdb"\nauthmodulelistorig="authuserdb"\ndaemons=2\nauthdaemonvar=/run/courier/authdaemon\nDEBUG_LOGIN=0\nDEFAULTOPTIONS=""\nLOGGEROPTS=""\n' \
		>"$run/etc/courier/authdaemonrc"
	courier_plain_port=$(dovecot_free_port)
	unshare --mount --propagation private --pid --fork --kill-child --mount-proc -- bash -c "$courier_view" bash "$run" "$courier_beside" \
		bash -c '
			set -eu
			cd /
			/usr/lib/courier/courier-authlib/authdaemond &
			set -a; . /etc/courier/imapd
			IMAP_STARTTLS=NO IMAP_EMPTYTRASH= IMAP_USELOCKS=0
			set +a
			/usr/sbin/couriertcpd -address=127.0.0.1 -maxprocs=40 -maxperip=40 -nodnslookup -noidentlookup \
				"$1" /usr/lib/courier/courier/imaplogin /usr/bin/imapd Maildir &
			wait' bash "$courier_plain_port" </dev/null >>"$run/log" 2>&1 &
	courier_pid=$!
	# It speaks no TLS here; without TLS mailhold does not speak.
	[ -s "$box/tls/server.pem" ] || dovecot_certificates
	courier_port=$(dovecot_free_port)
	python3 "$(dirname "${BASH_SOURCE[0]}")/tls_door.py" "$box/tls/server.pem" "$box/tls/server.key" "$courier_port" "$courier_plain_port" \
		</dev/null >>"$run/log" 2>&1 &
	courier_door=$!
	for _ in $(seq 200); do
		(exec 3<>"/dev/tcp/127.0.0.1/$courier_plain_port") 2>/dev/null &&
			(exec 3<>"/dev/tcp/127.0.0.1/$courier_port") 2>/dev/null && return
		sleep 0.05
	done
	die "Courier does not answer: $(tail -5 "$run/log")"
}

courier_stop()
{
	[ -z "${courier_door:-}" ] || kill "$courier_door" 2>/dev/null
	[ -n "${courier_pid:-}" ] || return 0
	kill -9 "$courier_pid" 2>/dev/null
	wait "$courier_pid" 2>/dev/null
}
