# A repository on an account that SSH reaches: the contract of stores holds, everything works as in a folder, and lines that
# break cost nothing.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/dovecot.sh"
. "$(dirname "$0")/sshd.sh"
. "$(dirname "$0")/stores.sh"
trap 'breaker_stop; sshd_stop; chmod -R u+rwx "$box" 2>/dev/null; rm -rf "$box"' EXIT
breaker_stop() { [ -z "${breaker:-}" ] || kill "$breaker" 2>/dev/null; breaker=; }
sshd_start || skip "sshd is not there"
far=sftp://127.0.0.1$box/s/data

contract "$far"

export MAILHOLD_REPOSITORY=$far/deep/er/repo
maildir "$box/ann/Maildir"
life "$box/ann/Maildir"
[ -d "$box/s/data/deep/er/repo/ledger" ] || die "it is not where it should be"
[ -z "$(find "$box/s/data/deep" -type f -perm /0077)" ] || die "others may read the objects"
run 10 -r "$far/nowhere" snapshots
hints "there is no folder"
hints "mailhold init -r sftp://"
[ -z "$(ls -A "$box/s/data/deep/er/repo/tmp")" ] || die "temporary files are left there"

# Damage there is mended there.
pack=$(find "$box/s/data/deep/er/repo/pack" -type f | head -1)
chmod u+w "$pack"
printf 'XXXXXXXX' | dd of="$pack" bs=1 seek=600 conv=notrunc 2>/dev/null
run 1 check --read-data
run 0 repair parity
run 0 check --read-data
says "no problems"

# Sessions are killed all along; each command ends well all the same.
export MAILHOLD_REPOSITORY=$far/broken
run 0 init
mkdir -p "$box/many"/{cur,new,tmp}
for i in $(seq 12); do
	{
		printf 'From: a@example.org\r\nSubject: %d\r\nMessage-ID: <%d@example.org>\r\n\r\n' "$i" "$i"
		head -c 1000000 /dev/urandom | base64
	} >"$box/many/cur/1700000000.M${i}P1.host:2,S"
done
for pause in 0.5 0.5 0.7 0.7 1 1 1.5 1.5 2 2 2 2 2 2 2 2 2 2; do
	sleep "$pause"
	pkill -9 -P "$(cat "$box/s/pid")" || true
done >/dev/null 2>&1 &
breaker=$!
run 0 snapshot --account many "$box/many"
run 0 restore latest --to "$box/many.back"
run 0 check --read-data
says "no problems"
breaker_stop
same_tree "$box/many" "$box/many.back"
grep -c "Accepted publickey" "$box/s/log" >"$box/connections"
[ "$(cat "$box/connections")" -ge 10 ] || die "nothing was broken: $(cat "$box/connections") connections"

# Who waits for a server that stays away says so, and Ctrl-C ends the wait.
sshd_stop
MAILHOLD_STORE_PATIENCE=0 run 1 snapshots
hints "cannot connect"
run 1 -r "sftp://127.0.0.1:1/x" snapshots
hints "cannot connect"
run 2 -r "sftp://127.0.0.1" snapshots
hints "names no folder"

# A host that nobody has seen, and one that changed its key.
sshd_start || die "sshd does not start again"
: >"$box/s/known_hosts"
run 1 -r "$far/broken" snapshots
hints "not in known_hosts"
ssh-keygen -q -t ed25519 -N '' -f "$box/s/other"
echo "[127.0.0.1]:$sshd_port $(cut -d' ' -f1,2 "$box/s/other.pub")" >"$box/s/known_hosts"
run 1 -r "$far/broken" snapshots
hints "another machine answers"
