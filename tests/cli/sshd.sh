# An OpenSSH server of one's own on 127.0.0.1, all of it below $box. Source it after lib.sh and dovecot.sh (for a free port), then: sshd_start.
#   $sshd_port   and MAILHOLD_SSH_CONFIG, which knows its key and ours; the account is the one that runs the test
sshd_start()
{
	local run=$box/s
	[ -x /usr/sbin/sshd ] || return 1
	mkdir -p "$run/data"
	[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
	for key in host key; do
		[ -s "$run/$key" ] || ssh-keygen -q -t ed25519 -N '' -f "$run/$key" || die "no keys for sshd"
	done
	cp "$run/key.pub" "$run/authorized_keys"
	sshd_port=$(dovecot_free_port)
	cat >"$run/sshd_config" <<-CONFIG
		ListenAddress 127.0.0.1
		Port $sshd_port
		HostKey $run/host
		PidFile $run/pid
		AuthorizedKeysFile $run/authorized_keys
		StrictModes no
		UsePAM no
		UseDNS no
		PermitRootLogin prohibit-password
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		MaxStartups 100
		Subsystem sftp internal-sftp
		ForceCommand internal-sftp -d $run/data ${1:-}
	CONFIG
	echo "[127.0.0.1]:$sshd_port $(cut -d' ' -f1,2 "$run/host.pub")" >"$run/known_hosts"
	cat >"$run/ssh_config" <<-CONFIG
		Host *
		  Port $sshd_port
		  UserKnownHostsFile $run/known_hosts
		  GlobalKnownHostsFile /dev/null
		  IdentityFile $run/key
	CONFIG
	export MAILHOLD_SSH_CONFIG=$run/ssh_config
	/usr/sbin/sshd -f "$run/sshd_config" -E "$run/log" </dev/null >/dev/null 2>&1 || die "sshd does not start: $(tail -3 "$run/log")"
	for _ in $(seq 200); do
		(exec 3<>"/dev/tcp/127.0.0.1/$sshd_port") 2>/dev/null && return
		sleep 0.05
	done
	die "sshd does not answer: $(tail -3 "$run/log")"
}

sshd_stop()
{
	[ ! -s "$box/s/pid" ] || kill "$(cat "$box/s/pid")" 2>/dev/null
}
