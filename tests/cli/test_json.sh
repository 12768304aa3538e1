# Everything that --json prints is JSON, on both streams, also when it fails.
. "$(dirname "$0")/lib.sh"
if command -v python3 >/dev/null; then
	check_lines() { python3 -c 'import json, sys; [json.loads(l) for l in open(sys.argv[1], encoding="ascii")]' "$1"; }
elif command -v jq >/dev/null; then
	check_lines() { jq -e . "$1" >/dev/null; }
else
	skip "there is neither python3 nor jq"
fi
mails=$box/ann/Maildir
maildir "$mails"
printf 'Subject: \033 \377\376 =?utf-8?q?=00?=\nFrom: "a\\b" <x>\n\n' >"$mails/cur/1700000030.\"q\\.host:2,"

json()
{
	run "$@" --json
	check_lines "$box/out" || die "standard output is no JSON"
	check_lines "$box/err" || die "standard error is no JSON"
}

printf '%064d\n' 5 >"$box/key"
json 10 ls
hints '"code":"no-repository"'
hints '"exit":10'
json 0 init
says '"opens_with":"key-file"'
json 0 snapshot "$mails" --tag one --tag two
says '"items_new":5'
mail "$mails/new/1700000031.M1P1.host" "More"
rm "$mails/cur/1700000001.M1P1.host:2,S"
json 0 snapshot "$mails"
json 0 snapshot -n "$mails"
says '"id":null'
json 0 snapshots
says '"tags":["one","two"]'
json 0 ls
says '"role":"inbox"'
json 0 ls latest:INBOX
json 0 find lunch
says '"still_there":'
json 0 diff latest~1 latest
says '"type":"summary"'
json 0 diff latest~1 latest --summary
json 0 deleted
json 0 restore latest --to "$box/back" --plan
says '"type":"put"'
json 0 restore latest --to "$box/back" --plan="$box/plan"
check_lines "$box/plan" || die "the plan is no JSON"
json 0 restore latest --to "$box/back"
says '"items_put":5'
json 0 restore latest --to "$box/back"
says '"items_present":5'
json 0 pin latest
json 0 unpin latest
json 0 forget latest~1
json 0 session list
says '"sessions":[]'
json 0 check
says '"problems":0'
json 0 stats
json 0 version
json 2 snapshot --odd
hints '"code":"usage"'
json 2 nonsense
json 1 ls latest:nothing
echo "ok"
