# A repository in a bucket: the contract of stores holds on a real server, in clear and with TLS; requests that fail, answers that are lost
# and requests that arrive twice cost nothing.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/dovecot.sh"
. "$(dirname "$0")/ceph.sh"
. "$(dirname "$0")/stores.sh"
trap 'door_stop; ceph_stop; chmod -R u+rwx "$box" 2>/dev/null; rm -rf "$box"' EXIT
door_stop() { [ -z "${door:-}" ] || { kill "$door" && wait "$door"; } 2>/dev/null; door=; }
unset AWS_SESSION_TOKEN AWS_PROFILE AWS_REGION AWS_DEFAULT_REGION AWS_CA_BUNDLE AWS_SHARED_CREDENTIALS_FILE
ceph_start || skip "Ceph is not there"
ceph_bucket mailhold-test
far=s3+http://127.0.0.1:$ceph_port/mailhold-test

contract "$far/contract"

# With TLS, below a prefix with characters that have to be encoded, by a credentials file.
maildir "$box/ann/Maildir"
mkdir -p "$HOME/.aws"
printf '[other]\naws_access_key_id = nobody\naws_secret_access_key = nothing\n[work]\naws_access_key_id = %s\naws_secret_access_key=%s\n' \
	"$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" >"$HOME/.aws/credentials"
(
	unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
	export MAILHOLD_REPOSITORY=s3+https://localhost:$ceph_tls_port/mailhold-test/deep/a%20b%2B
	export AWS_PROFILE=work
	run 1 init
	hints "certificate"
	export AWS_CA_BUNDLE=$box/tls/ca.pem
	life "$box/ann/Maildir"
	AWS_PROFILE=nobody run 1 snapshots
	hints "no credentials for S3"
	AWS_PROFILE=other run 1 snapshots
	hints "403"
) || exit 1
run 10 -r "s3+http://127.0.0.1:$ceph_port/no-such-bucket/x" snapshots
hints "no such bucket"
run 10 -r "$far/nothing" snapshots
run 1 -r "s3+http://192.0.2.1/bucket/x" snapshots
hints "without TLS nothing is sent"
run 2 -r "s3://ab/x" snapshots
hints "names no bucket"

started=$SECONDS
run 1 -r "s3+http://127.0.0.1:1/bucket/x" snapshots
[ $((SECONDS - started)) -lt 20 ] || die "a mistyped server is not told in time"

# A third of all requests fails in one way or another.
mkdir -p "$box/many"/{cur,new,tmp}
for i in $(seq 30); do
	{
		printf 'From: a@example.org\r\nSubject: %d\r\nMessage-ID: <%d@example.org>\r\n\r\n' "$i" "$i"
		head -c 200000 /dev/urandom | base64
	} >"$box/many/cur/1700000000.M${i}P1.host:2,S"
done
seed=${MAILHOLD_TEST_SEED:-$(date +%s)}
echo "seed $seed (MAILHOLD_TEST_SEED repeats it)"
port=$(dovecot_free_port)
python3 "$(dirname "$0")/faulty_s3.py" "$port" "$ceph_port" "$seed" 0.3 >"$box/door" 2>&1 &
door=$!
for _ in $(seq 100); do
	(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
	sleep 0.05
done
export MAILHOLD_REPOSITORY=s3+http://127.0.0.1:$port/mailhold-test/faulty
run 0 -r "$far/faulty" init
run 0 snapshot --account many "$box/many"
rm "$box/many/cur/1700000000.M1P1.host:2,S"
run 0 snapshot --account many "$box/many"
run 0 restore latest --to "$box/many.back"
same_tree "$box/many" "$box/many.back"
run 0 forget latest~1
run 0 prune --trash 0d --now
door_stop
grep -q "'cut after'" "$box/door" && grep -q "'twice'" "$box/door" || die "nothing went wrong: $(cat "$box/door")"
run 0 -r "$far/faulty" check --read-data
says "no problems"
rm -rf "$XDG_CACHE_HOME" "$box/many.back"
run 0 -r "$far/faulty" restore latest --to "$box/many.back"
same_tree "$box/many" "$box/many.back"
