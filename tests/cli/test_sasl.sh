# Every way to log in, at a real server; and what is told when one is refused.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/dovecot.sh"
dovecot_start
printf 'secret\n' >"$box/pw"
printf 'token-1\n' >"$box/token"
mkdir -p "$dovecot_mail/alice/rawlog" && chmod -R 777 "$dovecot_mail/alice"
run 0 init

# try CODE WAY SECRET-OPTIONS…: what was sent over the line is left in $box/wire.
try()
{
	local want=$1 way=$2
	shift 2
	run "$want" snapshot -n --source-ca "$dovecot_ca" ${way:+--source-auth $way} "$@" "$imap_url"
}
for way in '' plain login scram-sha-256 PLAIN; do
	try 0 "$way" --source-password-file "$box/pw"
	says "nothing was stored"
done
for way in '' oauthbearer xoauth2; do
	try 0 "$way" --source-token-command "cat '$box/token'"
done
grep -q 'method=SCRAM-SHA-256' "$box/d/log" || die "the best way was not taken"
grep -q 'method=OAUTHBEARER' "$box/d/log" || die "no token was taken by OAUTHBEARER"
grep -q 'method=XOAUTH2' "$box/d/log" || die "no token was taken by XOAUTH2"
[ "$(grep -c 'Login: user' "$box/d/log")" = 8 ] || die "there were not 8 logins"

# Wrong ones; the words do not get out.
echo wr0ng-pw >"$box/pw2"
for way in plain login scram-sha-256; do
	try 1 "$way" --source-password-file "$box/pw2"
	hints "refuses the login"
	case $err in *wr0ng*) die "the password is told" ;; esac
done
hints "by SCRAM-SHA-256"
for way in oauthbearer xoauth2; do
	try 1 "$way" --source-token-command "echo wr0ng-token"
	hints "refuses the login"
	hints '"status"'
	case $err in *wr0ng*) die "the token is told" ;; esac
done
echo any:another-token >"$dovecot_tokens"
sleep 1.2 # it looks once a second
try 1 '' --source-token-command "cat '$box/token'"
hints "refuses the login"

try 2 gssapi --source-password-file "$box/pw"
hints "it may be scram-sha-256, "
try 2 xoauth2 --source-password-file "$box/pw"
hints "takes an OAuth 2 token"
try 2 plain --source-token-command "cat '$box/token'"
hints "takes a password"
try 1 scram-sha-1 --source-password-file "$box/pw"
hints "offers no login by SCRAM-SHA-1"
