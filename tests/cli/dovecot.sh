# A Dovecot of one's own on 127.0.0.1, all of it below $box, for stories that need a real IMAP server. Source it after
# lib.sh, then: dovecot_start. Every user name is taken with the password "secret" and gets an empty mailbox. Access tokens
# that are good stand in $dovecot_tokens as any:TOKEN (one line), looked at once a second.
#   $imap_url (of user alice), $imaps_port, $imap_port, $dovecot_ca, $dovecot_mail (folder of users' mailboxes)

dovecot_free_port()
{
	local port
	while :; do
		port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	echo "$port"
}

dovecot_certificates()
{
	mkdir -p "$box/tls"
	(
		cd "$box/tls" || exit 1
		openssl ecparam -name prime256v1 -genkey -noout -out ca.key
		openssl req -x509 -new -key ca.key -sha256 -days 30 -subj '/CN=test authority' \
			-addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign' -out ca.pem
		openssl ecparam -name prime256v1 -genkey -noout -out server.key
		openssl req -new -key server.key -subj '/CN=localhost' -out server.csr
		printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' >extensions
		openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -sha256 -days 30 \
			-extfile extensions -out server.pem
	) >"$box/tls/log" 2>&1 || die "no certificates: $(cat "$box/tls/log")"
}

# As root, mail processes must be somebody else; as anybody else, all of them are oneself.
dovecot_users()
{
	if [ "$(id -u)" = 0 ]; then
		chown 65534:65534 "$dovecot_mail"
		printf 'mail_uid = 65534\nmail_gid = 65534\n'
		return
	fi
	printf 'mail_uid = %s\nmail_gid = %s\n' "$(id -u)" "$(id -g)"
	printf 'default_internal_user = %s\ndefault_internal_group = %s\ndefault_login_user = %s\n' \
		"$(id -un)" "$(id -gn)" "$(id -un)"
	printf 'service %s {\n  chroot =\n}\n' anvil imap-login stats
}

dovecot_start()
{
	local run=$box/d # short: the names of sockets are
	command -v dovecot >/dev/null || [ -x /usr/sbin/dovecot ] ||
		if [ -n "${MAILHOLD_TEST_NO_SKIP:-}" ]; then die "Dovecot is not installed"; else skip "Dovecot is not installed"; fi
	dovecot_mail=$box/mail dovecot_ca=$box/tls/ca.pem
	dovecot_tokens=$box/tokens
	mkdir -p "$run" "$dovecot_mail"
	echo any:token-1 >"$dovecot_tokens"
	chmod 755 "$box"
	dovecot_certificates
	imap_port=$(dovecot_free_port) imaps_port=$(dovecot_free_port)
	imap_url=imaps://alice@127.0.0.1:$imaps_port
	cat >"$run/conf" <<-END
		base_dir = $run
		state_dir = $run
		instance_name = test-$$
		log_path = $run/log
		info_log_path = $run/log
		protocols = imap
		listen = 127.0.0.1
		$(dovecot_users)
		first_valid_uid = 1
		first_valid_gid = 1
		mail_home = $dovecot_mail/%n
		mail_location = maildir:$dovecot_mail/%n/Maildir
		auth_mechanisms = ${dovecot_mechanisms:-plain login scram-sha-256 xoauth2 oauthbearer}
		auth_failure_delay = 0
		ssl = required
		ssl_cert = <$box/tls/server.pem
		ssl_key = <$box/tls/server.key
		default_vsz_limit = 1G
		service anvil {
		  unix_listener anvil-auth-penalty {
		    mode = 0
		  }
		}
		service imap-login {
		  inet_listener imap {
		    port = $imap_port
		  }
		  inet_listener imaps {
		    port = $imaps_port
		    ssl = yes
		  }
		}
		passdb {
		  driver = static
		  mechanisms = plain login scram-sha-256
		  args = password=secret
		}
		passdb {
		  driver = passwd-file
		  mechanisms = xoauth2 oauthbearer
		  args = scheme=PLAIN username_format=any $dovecot_tokens
		}
		userdb {
		  driver = static
		  args = allow_all_users=yes
		}
		namespace inbox {
		  inbox = yes
		  separator = /
		  mailbox Sent {
		    special_use = \\Sent
		    auto = subscribe
		  }
		}
		protocol imap {
		  rawlog_dir = %h/rawlog
		}
	END
	"$(command -v dovecot || echo /usr/sbin/dovecot)" -c "$run/conf" </dev/null >"$run/out" 2>&1 ||
		die "Dovecot does not start: $(cat "$run/out" "$run/log" 2>/dev/null)"
	trap 'dovecot_stop; chmod -R u+rwx "$box" 2>/dev/null; rm -rf "$box"' EXIT
	for _ in $(seq 200); do
		(exec 3<>"/dev/tcp/127.0.0.1/$imaps_port") 2>/dev/null && return
		sleep 0.05
	done
	die "Dovecot does not answer: $(cat "$run/log")"
}

dovecot_stop()
{
	local pid
	pid=$(cat "$box/d/master.pid" 2>/dev/null) || return 0
	kill "$pid" 2>/dev/null
	for _ in $(seq 100); do
		kill -0 "$pid" 2>/dev/null || return 0
		sleep 0.05
	done
	kill -9 "$pid" 2>/dev/null
}

# The mailbox of user $1, and what another client sees in it.
at()
{
	echo "imaps://$1@127.0.0.1:$imaps_port"
}
dump()
{
	python3 "$(dirname "$0")/imap_dump.py" "$imaps_port" --ca "$dovecot_ca" "$@" || die "the other client failed"
}
