# A Cyrus of one's own on 127.0.0.1, all of it below $box. Source it after lib.sh and dovecot.sh, then: cyrus_start, and
# cyrus_user NAME for each user (password "secret").   $cyrus_port (TLS), $cyrus_plain_port; with cyrus_with_dav=yes set before,
# CalDAV and CardDAV at $cyrus_https_port, too
cyrus_programs=/usr/lib/cyrus/bin
cyrus_beside=${MAILHOLD_TEST_SERVERS:-/opt/mailhold-test-servers}

cyrus_as()
{
	if [ "$(id -u)" = 0 ]; then runuser -u cyrus -- "$@"; else "$@"; fi
}

cyrus_user()
{
	printf secret | cyrus_as saslpasswd2 -p -c -f "$box/c/sasldb2" -u localhost "$1" || die "no user $1"
}

cyrus_start()
{
	local run=$box/c imapd=$cyrus_programs/imapd
	[ -x "$imapd" ] || imapd=$cyrus_beside$cyrus_programs/imapd
	[ -x "$cyrus_programs/master" ] && [ -x "$imapd" ] || return 1
	mkdir -p "$run"/{run,conf,spool,proc,lock,log}
	[ -s "$box/tls/server.pem" ] || dovecot_certificates
	cp -r "$box/tls" "$run/tls"
	cyrus_plain_port=$(dovecot_free_port) cyrus_port=$(dovecot_free_port) cyrus_https_port=$(dovecot_free_port)
	CYRUS_USER=$([ "$(id -u)" = 0 ] && echo cyrus || id -un)
	export CYRUS_USER
	cat >"$run/imapd.conf" <<-CONF
		configdirectory: $run/conf
		proc_path: $run/proc
		mboxname_lockpath: $run/lock
		defaultpartition: default
		partition-default: $run/spool
		servername: localhost
		defaultdomain: localhost
		virtdomains: off
		altnamespace: yes
		unixhierarchysep: yes
		admins: admin
		umask: 077
		sasl_pwcheck_method: auxprop
		sasl_auxprop_plugin: sasldb
		sasl_sasldb_path: $run/sasldb2
		sasl_mech_list: PLAIN LOGIN
		allowplaintext: yes
		tls_server_cert: $run/tls/server.pem
		tls_server_key: $run/tls/server.key
		autocreate_quota: 0
		autocreate_inbox_folders: Drafts | Sent | Trash
		xlist-drafts: Drafts
		xlist-sent: Sent
		xlist-trash: Trash
		$([ -z "${cyrus_with_dav:-}" ] || echo "httpmodules: caldav carddav")
	CONF
	cat >"$run/cyrus.conf" <<-CONF
		START {
		  recover cmd="$cyrus_programs/ctl_cyrusdb -C $run/imapd.conf -r"
		}
		SERVICES {
		  imap cmd="$imapd -C $run/imapd.conf -U 30" listen="127.0.0.1:$cyrus_plain_port" proto="tcp4" prefork=0
		  imaps cmd="$imapd -C $run/imapd.conf -s -U 30" listen="127.0.0.1:$cyrus_port" proto="tcp4" prefork=0
		  $([ -z "${cyrus_with_dav:-}" ] || echo "https cmd=\"$cyrus_programs/httpd -C $run/imapd.conf -s -U 30\" listen=\"127.0.0.1:$cyrus_https_port\" proto=\"tcp4\" prefork=0")
		}
	CONF
	chmod 755 "$box"
	[ "$(id -u)" != 0 ] || chown -R cyrus:mail "$run"
	cyrus_as "$cyrus_programs/master" -C "$run/imapd.conf" -M "$run/cyrus.conf" -p "$run/run/master.pid" -L "$run/log/out" -d \
		</dev/null >"$run/log/start" 2>&1 || die "Cyrus does not start: $(cat "$run/log/start")"
	for _ in $(seq 200); do
		(exec 3<>"/dev/tcp/127.0.0.1/$cyrus_port") 2>/dev/null && return
		sleep 0.05
	done
	die "Cyrus does not answer: $(cat "$run/log/"*)"
}

cyrus_stop()
{
	local pid
	pid=$(tr -dc 0-9 <"$box/c/run/master.pid" 2>/dev/null)
	[ -n "$pid" ] || return 0
	kill "$pid" 2>/dev/null
	for _ in $(seq 200); do
		kill -0 "$pid" 2>/dev/null || return 0
		sleep 0.05
	done
	kill -9 "$pid" 2>/dev/null
}
