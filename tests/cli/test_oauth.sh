# OAuth 2.0 against a strict authorisation server, and a real mail server that takes its tokens: each flow, refreshing, refusals,
# and tokens that nobody reads in the state folder.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/dovecot.sh"
dovecot_start
at=imaps://alice@127.0.0.1:$imaps_port
config=$box/config/mailhold/config
tokens=$box/state/mailhold/tokens
port=$(dovecot_free_port)
touch "$box/log"
PYTHONDONTWRITEBYTECODE=1 python3 "$(dirname "$0")/oauth_server.py" "$port" "$dovecot_tokens" "$box/log" "$box/tls/server.pem" "$box/tls/server.key" \
	>"$box/server.out" 2>&1 </dev/null &
server=$!
trap 'kill $server 2>/dev/null; dovecot_stop; chmod -R u+rwx "$box" 2>/dev/null; rm -rf "$box"' EXIT
for _ in $(seq 200); do grep -q ready "$box/log" && break; sleep 0.05; done
grep -q ready "$box/log" || die "the authorisation server does not start: $(cat "$box/server.out")"
chmod 644 "$dovecot_tokens"
server_is() { echo "$*" >"$dovecot_tokens.mode"; }
no_offence() { grep offence "$box/log" && die "the authorisation server was offended"; }

mkdir -p "$(dirname "$config")"
provider() # NAME LINES…
{
	printf '[oauth "%s"]\n\tclient-id = client-1\n\tscope = mail\n\ttoken-url = https://localhost:%s/token\n\tca = %s\n' "$1" "$port" "$dovecot_ca"
	shift
	printf '\t%s\n' "$@"
}
printf client-secret-1 >"$box/secret"
{
	provider device "device-url = https://localhost:$port/device"
	provider browser "flow = browser" "authorization-url = https://localhost:$port/authorize"
	provider robot "flow = client-credentials" "client-secret-file = $box/secret"
	for name in device browser robot; do
		printf '[account "%s"]\n\tsource = %s\n\toauth = %s\n\tca = %s\n' "$name" "$at" "$name" "$dovecot_ca"
	done
} >"$config"
run 0 init
run 0 account list
says "OAuth 2"
run 1 snapshot device
hints "nobody has logged in for device yet"
hints "mailhold account login device"

# Device code: told what to do, waits, keeps the tokens, sealed.
server_is ""
run 0 account login device
says "https://example.org/device"
says "WDJB-MJHT"
says "device: works"
run 0 account test device
run 0 snapshot device
access=$(sed -n 's/^gave //p' "$box/log" | tail -1)
refresh=$(sed -n 's/^refresh //p' "$box/log" | tail -1)
[ -n "$access" ] && [ -n "$refresh" ] || die "no tokens were given"
[ "$(ls "$tokens" | grep -vc lock)" = 1 ] || die "there is not one token file"
[ "$(stat -c %a "$box/state/mailhold/token.key")" = 600 ] || die "the key is not private"
[ -z "$(find "$tokens" -perm /077)" ] || die "a token file is not private"
grep -rqF -e "$access" -e "$refresh" "$box/state" "$box/config" "$box/cache" && die "a token lies about in clear"

# The token is good for an hour: nobody is asked again. When the mail server refuses it all the same, it is refreshed once.
gave=$(grep -c '^gave' "$box/log")
run 0 snapshot device
[ "$(grep -c '^gave' "$box/log")" = "$gave" ] || die "it asked for a token without need"
echo any:revoked >"$dovecot_tokens"
sleep 1.2 # it looks once a second
run 0 snapshot device
[ "$(grep -c '^gave' "$box/log")" = "$((gave + 1))" ] || die "it did not ask for one more, once"
run 0 snapshot device
[ "$(grep -c '^gave' "$box/log")" = "$((gave + 1))" ] || die "it asked again"

# Short tokens are renewed by each run, and a refresh token that is good once is replaced on the disk by its successor.
server_is short rotate
run 0 account login device
gave=$(grep -c '^gave' "$box/log")
run 0 snapshot device
run 0 snapshot device
[ "$(grep -c '^gave' "$box/log")" = "$((gave + 2))" ] || die "short tokens were not renewed"
no_offence

# Authorisation code with PKCE: a browser follows the server's redirect to our port.
cat >"$box/browser.py" <<'END'
import re, ssl, sys, time, urllib.request, urllib.error
for _ in range(200):
    found = re.search(r"https://localhost\S+", open(sys.argv[1]).read())
    if found: break
    time.sleep(0.05)
url = found.group(0)
port = int(re.search(r"redirect_uri=http%3A%2F%2F127\.0\.0\.1%3A(\d+)%2F", url).group(1))
for odd in ("/favicon.ico", "/?code=stolen&state=guessed", "/?code=x"): # others on this machine
    try:
        urllib.request.urlopen("http://127.0.0.1:%d%s" % (port, odd))
        sys.exit("it took " + odd)
    except urllib.error.HTTPError as e:
        assert e.code == 404, e.code
context = ssl.create_default_context(cafile=sys.argv[2])
print(urllib.request.urlopen(url, context=context).read().decode())
END
"$MAILHOLD" account login browser >"$box/out" 2>"$box/err" </dev/null &
login=$!
python3 "$box/browser.py" "$box/out" "$dovecot_ca" >"$box/page" 2>&1 || die "the browser failed: $(cat "$box/page" "$box/err")"
wait $login || die "the login failed: $(cat "$box/err")"
grep -q 'close this window' "$box/page" || die "the browser got no page"
run 0 account test browser
server_is deny
"$MAILHOLD" account login browser >"$box/out" 2>"$box/err" </dev/null &
login=$!
python3 "$box/browser.py" "$box/out" "$dovecot_ca" >"$box/page" 2>&1 || die "the browser failed: $(cat "$box/page")"
wait $login && die "it logged in though it was denied"
grep -q 'says access_denied' "$box/err" || die "it does not tell why: $(cat "$box/err")"
run 1 account login device
hints "says access_denied"
run 0 account test browser # what was there stays

# Client credentials: nobody has to log in.
server_is ""
run 0 snapshot robot
printf wrong >"$box/secret"
rm "$tokens"/*[0-9a-f]
run 1 snapshot robot
hints "invalid_client: a wrong secret"
printf client-secret-1 >"$box/secret"
no_offence

# Damage, a lost key, another key; a server that is down, or no authorisation server at all; each told.
server_is ""
run 0 account login device
for one in "$tokens"/*[0-9a-f]; do printf 'x' | dd of="$one" bs=1 seek=60 conv=notrunc 2>/dev/null; done
run 1 snapshot device
hints "log in again"
rm "$box/state/mailhold/token.key"
run 1 snapshot device
hints "token.key"
run 0 account login device
chmod 644 "$box/state/mailhold/token.key"
run 1 account test device
hints "can be read by others"
chmod 600 "$box/state/mailhold/token.key"
run 0 account logout device
run 1 account test device
hints "nobody has logged in"
server_is gone
run 1 account login device
hints "status 503"
server_is odd
run 1 account login device
hints "no JSON object"
kill $server
run 1 account login device
hints "localhost:$port"

# What the configuration cannot mean.
refused() { # LINES HINT
	printf '%b[account "a"]\nsource = %s\noauth = p\n' "$1" "$at" >"$box/bad"
	run "${3:-1}" account login a --config "$box/bad"
	hints "$2"
}
refused '' 'there is no [oauth "p"]' 2
refused '[oauth "p"]\npreset = microsoft\n' 'client-id is missing' 2
refused '[oauth "p"]\npreset = yahoo\nclient-id = x\n' 'preset is microsoft or google' 2
refused '[oauth "p"]\npreset = google\nflow = device\nclient-id = x\n' 'no device-url' 2
refused '[oauth "p"]\nclient-id = x\ntoken-url = http://example.org/t\ndevice-url = http://example.org/d\n' 'without TLS' 2
refused '[oauth "p"]\npreset = microsoft\nclient-id = x\nclient-secret = y\n' 'others can read' 2
refused '[oauth "p"]\npreset = microsoft\nclient-id = x\nflow = client-credentials\n' 'client-secret-file' 2
echo ok
