# Accounts in a configuration file: added, listed, tested, taken together, removed; and what is said of a bad file.
. "$(dirname "$0")/lib.sh"
config=$box/config/mailhold/config
unset MAILHOLD_REPOSITORY MAILHOLD_KEY_FILE
for name in ann bob cid; do
	maildir "$box/$name/Maildir"
	mail "$box/$name/Maildir/new/1700000009.M9P1.host" "Only of $name"
done

# Nothing configured.
run 0 account list
[ -z "$out$err" ] || die "an empty configuration is not silent"
run 2 snapshot --all
hints "has no accounts"
run 2 snapshots
hints "no repository was named"

# The repository from the configuration, with what opens it.
mkdir -p "$box/config/mailhold"
printf '# my backup\n[repository]\n\turl = %s\n\tkey-file = %s\n' "$box/repo" "$box/key" >"$config"
run 0 init
[ -s "$box/key" ] || die "there is no key file"
run 0 snapshots

# Accounts are added behind it; a path is written down absolute.
cd "$box" || die "cannot go to $box"
run 0 account add ann ann/Maildir --tag nightly
hints "written to $config"
says "ann: works, 2 folders"
run 0 account add bob@example.org "maildir:$box/bob/Maildir"
cd / || die "cannot go to /"
grep -q "^	source = $box/ann/Maildir\$" "$config" || die "the path is not absolute"
head -1 "$config" | grep -q '^# my backup$' || die "the comment is gone"
run 1 account add ann "$box/ann/Maildir"
hints "has an account ann already"
run 1 account add dora "$box/nobody"
hints "it was not added"
run 0 account add --no-test dora "$box/nobody"
run 2 account add 'a:b' "$box/ann/Maildir"
run 2 account add 'a/b' "$box/ann/Maildir"
run 2 account add --tag x list
run 2 account list --tag x
run 0 account list
says "none needed"
says "$box/ann/Maildir"
run 0 account list --json
says '"name":"bob@example.org"'
says '"tags":["nightly"]'
run 0 account test ann bob@example.org
run 1 account test --all
says "ann: works"
hints "trying the account dora"
run 1 account test nobody
hints "has no account nobody"

# By name, and all of them: dora's failure stops nobody, and the table says so.
run 0 snapshot ann
says "snapshot "
says " of ann: 5 items"
run 0 snapshots --json
says '"tags":["nightly"]'
run 1 snapshot --all
hints "cannot find $box/nobody"
says "dora"
says "failed"
says "3 accounts: 2 complete, 1 failed; head "
run 1 snapshot --all --json --jobs 1
says '"type":"failed","account":"dora"'
says '"type":"summary","accounts":3,"complete":2,"incomplete":0,"failed":1,"not_begun":0,"quiet":0'
run 0 ls bob@example.org@latest
run 0 account remove dora
hints "its snapshots stay"
run 1 account remove dora
hints "has no account dora"
run 0 snapshot ann
run 0 snapshot --all
says "2 accounts: 2 complete; head "
[ "$(printf '%s\n' "$out" | sed -n '2s/ .*//p')" = bob@example.org ] || die "the longest unseen is not the first"
run 2 snapshot --all ann
run 2 snapshot
hints "say what of"
run 2 snapshot ann --source-auth plain
hints "ann is an account of the configuration"
run 2 snapshot --jobs 0 ann
run 2 snapshot ann ann
hints "would both be the account"
run 0 snapshot ann "$box/cid/Maildir"
says "2 accounts: 2 complete"

# What opens the configured repository does not go to another one.
run 2 snapshots -r "$box/none"
hints "no password was given"
MAILHOLD_PASSWORD=x run 10 snapshots -r "$box/none"

# Paused; defaults for all; a file that is a link stays one.
mv "$config" "$box/real" && ln -s "$box/real" "$config"
run 0 account add eve "$box/cid/Maildir"
[ -L "$config" ] || die "the link is gone"
printf '\tpaused = yes\n' >>"$box/real"
run 0 snapshot --all
says_not eve
run 0 account list
says paused
run 0 account remove eve
run 0 account remove ann
grep -q 'ann' "$box/real" && die "something of ann is left"
grep -q 'bob@example.org' "$box/real" || die "bob is gone, too"

# Where the secrets come from: told the account's name; defaults give way to what an account says.
cat >"$box/two" <<-END
	[account]
	password-command = echo "default of \$MAILHOLD_ACCOUNT" >>$box/asked; echo secret
	tag = all
	[account "one"]
	source = imaps://one@127.0.0.1:1
	[account "two"]
	source = imaps://two@127.0.0.1:1
	password-file = $box/key
	tag = own
END
run 1 account test --all --config "$box/two"
[ "$(cat "$box/asked")" = "default of one" ] || die "the password command was asked for $(cat "$box/asked")"
run 0 account list --config "$box/two" --json
says '"secret":"password command"'
says '"secret":"password file","tags":["own"]'
MAILHOLD_CONFIG=$box/two run 0 account list
says two

# Bad files: named with their line, values never told.
bad()
{
	printf '%b' "$1" >"$box/bad"
	run 2 account list --config "$box/bad"
	hints "$2"
	case $err in *s3cret*) die "the value is told" ;; esac
}
bad 'source = s3cret' "line 1: it stands before the first"
bad '[account "a"]\nsource = x\n[account "a"]\nsource = y' "line 3: there is an account of this name already"
bad '[account "a]\n' 'no closing'
bad '[odd]\n' 'the sections are'
bad '[account "a"]\npasswordcommand = s3cret\n' "did you mean password-command?"
bad '[account "a"]\nsource\n' 'line 2: neither'
bad '[account "a"]\nsource =\n' 'nothing behind'
bad '[account "a"]\n' 'has no source'
bad '[account "a"]\nsource = x\npassword-file = s3cret\npassword-command = s3cret\n' 'line 4: this section says already where the secret is'
bad '[account "a"]\nsource = x\nauth = s3cret\nauth = s3cret\n' 'line 4: this section has that key already'
bad '[account "a"]\nsource = \x01x' 'control character'
bad '[account "a"]\nsource = \xff' 'not UTF-8'
bad '[account "a"]\nsource = x\npaused = perhaps' 'say yes or no'
bad '[account "a"]\nsource = x\npassword = s3cret' 'others can read'
chmod 600 "$box/bad"
run 0 account list --config "$box/bad"
says_not s3cret
run 1 account list --config "$box/missing"
hints "reading the configuration"
# Two sources that have a collection of the same name each: a path must say of whom it is.
mkdir -p "$box/trees"/{a,b,c}/Bills
for i in a b c; do echo "$i" >"$box/trees/$i/Bills/$i.txt"; done
printf '[account "a"]\nsource = files:%s\nsource = files:%s\nsource = files:%s\n' "$box/trees/a" "$box/trees/b" "$box/trees/c" >"$box/bad"
run 1 snapshot a --config "$box/bad" -r "$box/repo" --key-file "$box/key"
hints "two sources of the account have a collection 'Bills'"
sed -i '$d' "$box/bad"
run 0 snapshot a --config "$box/bad" -r "$box/repo" --key-file "$box/key"
run 0 ls a@latest -r "$box/repo" --key-file "$box/key"
says ' Bills'
says ' files/Bills'
echo ok
