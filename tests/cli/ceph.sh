# A Ceph of one's own with its S3 gateway on 127.0.0.1, all of it below $box and in memory. Source it after lib.sh and dovecot.sh, then: ceph_start.
#   $ceph_port, $ceph_tls_port (certificate of $dovecot_ca's authority, $box/tls/ca.pem), ceph_bucket NAME; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set
# One monitor, one store, one gateway. A monitor on a port of its own needs an explicit map.
ceph_configuration()
{
	cat <<-CONF
		[global]
		fsid = $1
		mon host = [v2:127.0.0.1:$2/0]
		mon initial members = a
		public network = 127.0.0.0/8
		cluster network = 127.0.0.0/8
		ms bind ipv6 = false
		ms async op threads = 1
		auth allow insecure global id reclaim = false
		keyring = $run/keyring
		run dir = $run/run
		pid file = $run/run/\$name.pid
		admin socket = $run/run/\$name.asok
		log file = $run/log/\$name.log
		log max recent = 100
		mon cluster log file = $run/log/cluster.log
		crash dir = $run/crash
		osd pool default size = 1
		osd pool default min size = 1
		osd pool default pg num = 4
		osd pool default pgp num = 4
		osd pool default pg autoscale mode = off
		osd crush chooseleaf type = 0
		mon allow pool size one = true
		mon warn on pool no redundancy = false
		mon max pg per osd = 2000
		mon data avail warn = 1
		mon data avail crit = 1
		paxos propose interval = 0.05
		paxos min wait = 0.02
		[mon.a]
		mon data = $run/mon
		[osd.0]
		osd data = $run/osd
		osd objectstore = memstore
		memstore device bytes = 1073741824
		osd op num shards = 1
		osd op num threads per shard = 2
		[client.rgw]
		rgw data = $run/rgw
		rgw frontends = beast endpoint=127.0.0.1:$ceph_port ssl_endpoint=127.0.0.1:$ceph_tls_port ssl_certificate=$box/tls/server.pem ssl_private_key=$box/tls/server.key tcp_nodelay=1
		rgw thread pool size = 32
	CONF
}

ceph_start()
{
	local run=$box/c fsid monitor keys=$box/c/keyring admin='allow *'
	command -v radosgw >/dev/null && command -v ceph-mon >/dev/null && command -v ceph-osd >/dev/null || return 1
	unset CEPH_ARGS
	export CEPH_CONF=$run/conf AWS_ACCESS_KEY_ID=testaccess AWS_SECRET_ACCESS_KEY=testsecret
	mkdir -p "$run"/{mon,osd,rgw,run,log,crash}
	[ -s "$box/tls/server.pem" ] || dovecot_certificates
	monitor=$(dovecot_free_port) ceph_port=$(dovecot_free_port) ceph_tls_port=$(dovecot_free_port)
	fsid=$(cat /proc/sys/kernel/random/uuid)
	ceph_configuration "$fsid" "$monitor" >"$run/conf"
	{
		ceph-authtool -C "$keys" --gen-key -n mon. --cap mon "$admin"
		ceph-authtool "$keys" --gen-key -n client.admin --cap mon "$admin" --cap osd "$admin"
		ceph-authtool "$keys" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd "$admin"
		ceph-authtool "$keys" --gen-key -n client.rgw --cap mon 'allow rw' --cap osd 'allow rwx'
		monmaptool --create --clobber --fsid "$fsid" --set-min-mon-release pacific --addv a "[v2:127.0.0.1:$monitor]" "$run/map"
		ceph-mon -c "$run/conf" -i a --mkfs --monmap "$run/map" --keyring "$keys"
		ceph-mon -c "$run/conf" -i a
		osd=$(cat /proc/sys/kernel/random/uuid)
		timeout 60 ceph -c "$run/conf" osd new "$osd"
		ceph-osd -c "$run/conf" -i 0 --mkfs --osd-uuid "$osd"
		ceph-osd -c "$run/conf" -i 0
		timeout 120 radosgw-admin -c "$run/conf" -n client.rgw user create --uid=test --display-name=test \
			--access-key="$AWS_ACCESS_KEY_ID" --secret-key="$AWS_SECRET_ACCESS_KEY"
		radosgw -c "$run/conf" -n client.rgw
	} </dev/null >"$run/out" 2>&1 || die "Ceph does not start: $(tail -5 "$run/out")"
	for _ in $(seq 300); do
		(exec 3<>"/dev/tcp/127.0.0.1/$ceph_port") 2>/dev/null && return
		sleep 0.1
	done
	die "Ceph does not answer: $(tail -5 "$run/out" "$run"/log/*)"
}

ceph_bucket()
{
	local nothing=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
	curl -sS -f -o /dev/null -X PUT --aws-sigv4 "aws:amz:default:s3" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
		-H "x-amz-content-sha256: $nothing" "http://127.0.0.1:$ceph_port/$1" || die "no bucket $1"
}

# What is in memory needs no farewell.
ceph_stop()
{
	local name
	for name in client.rgw osd.0 mon.a; do
		[ ! -s "$box/c/run/$name.pid" ] || kill -9 "$(cat "$box/c/run/$name.pid")" 2>/dev/null
	done
}
