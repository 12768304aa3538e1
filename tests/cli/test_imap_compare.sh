# A snapshot against what a server has now: what is gone, moved, new and flagged otherwise; what is anywhere is not put again.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/dovecot.sh"
dovecot_start
echo secret >"$box/pw"
export MAILHOLD_SOURCE_PASSWORD_FILE=$box/pw MAILHOLD_TARGET_PASSWORD_FILE=$box/pw
here=$(dirname "$0")
at()
{
	echo "imaps://$1@127.0.0.1:$imaps_port"
}
dump()
{
	python3 "$here/imap_dump.py" "$imaps_port" --ca "$dovecot_ca" "$@" || die "the other client failed"
}
# The independent client: one statement of Python about `box`, logged in as $1; put(folder, flags, number) adds a message.
cat >"$box/client.py" <<'END2'
import imaplib, ssl, sys
box = imaplib.IMAP4_SSL("127.0.0.1", int(sys.argv[2]), ssl_context=ssl.create_default_context(cafile=sys.argv[1]))
box.login(sys.argv[3], "secret")
def put(folder, flags, i, text=b"text"):
    code, why = box.append(folder, flags, '"%2d-Feb-2024 10:11:12 +0000"' % (i % 28 + 1),
        b"From: eve@example.org\r\nMessage-ID: <%d@example.org>\r\nSubject: number %d\r\n\r\n%s\r\n" % (i, i, text))
    assert code == "OK", why
def lose(folder, which):
    box.select(folder); box.store(which, "+FLAGS", "(\\Deleted)"); box.expunge()
def move(which, folder, to):
    box.select(folder); assert box.copy(which, to)[0] == "OK"; lose(folder, which)
exec(sys.stdin.read())
box.logout()
END2
client()
{
	python3 "$box/client.py" "$dovecot_ca" "$imaps_port" "$1" || die "the independent client failed"
}
client alice <<'END2'
for f in ("Work", "Work/Old", "Archive"): box.create(f)
for i in range(1, 9): put("INBOX", "(\\Seen)" if i % 2 else None, i)
for i in (20, 20, 21): put("Work", None, i)
put("Work/Old", "(\\Flagged)", 30)
END2
run 0 init
run 0 snapshot --source-ca "$dovecot_ca" "$(at alice)" --account alice
run 0 account add alice "$(at alice)" --source-ca "$dovecot_ca" --source-password-file "$box/pw"
run 0 account add other "$box" # of files

# ---- the live account is the snapshot's own
run 0 diff latest alice
[ "$(wc -l <"$box/out")" = 1 ] || die "it tells differences of what is the same"
says 'nothing changed'
client alice <<'END2'
lose("INBOX", "1:2")
move("1", "INBOX", "Archive")
box.select("INBOX"); box.store("1", "+FLAGS", "(\\Answered $Done)")
put("INBOX", None, 50)
box.create("Neu"); put("Neu", None, 51)
lose("Work", "2")
box.delete("Work/Old")
END2
dump alice >"$box/before"
rm -rf "$dovecot_mail/alice/rawlog" && mkdir -p "$dovecot_mail/alice/rawlog" && chmod -R 777 "$dovecot_mail/alice/rawlog"
run 0 diff latest alice
cat "$dovecot_mail/alice/rawlog/"*.in | grep -aE ' (APPEND|CREATE|SELECT|STORE|SUBSCRIBE|DELETE|GETACL|GETQUOTAROOT|GETMETADATA)' &&
	die "comparing changes something, or asks for more than it needs"
dump alice | cmp -s - "$box/before" || die "comparing changed something"
says "INBOX: 1 added, 2 removed, 1 moved, 1 with other flags"
says "Work: 1 removed"
says "- collection Work/Old"
says "+ collection Neu"
says "to $(at alice): 2 added, 4 removed, 1 moved, 1 with other flags"
says "put back what is missing"
says "--to alice --into . --missing-only"
printf '%s\n' "$out" | grep -q '^> 2024-02-0.*number 3 .*:INBOX#.*  now in Archive$' || die "what moved is not told"
printf '%s\n' "$out" | grep -q '^~ .*number 4 .*  flags none → $Done \\Answered$' || die "flags are not told"
printf '%s\n' "$out" | grep -q '^+ .*eve@example.org.*number 51 .*live:Neu#1' || die "what is new is not told"
printf '%s\n' "$out" | grep -q '^- .*number 1 .*:INBOX#' || die "what is gone is not told"
run 0 cat "$(printf '%s\n' "$out" | sed -n 's/^- .*number 30 .*  \([0-9a-f]*:Work[^ ]*\).*/\1/p')"
says 'Subject: number 30'
run 0 diff latest "$(at alice)" --target-ca "$dovecot_ca" --json
[ "$(grep -c '"type": *"removed"' "$box/out")" = 4 ] || die "not four are removed"
python3 - "$box/out" <<'END2' || die "the JSON is not as it should be"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
moved, = [r for r in rows if r["type"] == "moved"]
assert moved["collection"] == "Archive" and moved["collection_from"] == "INBOX" and moved["before"]["title"] == "number 3"
state, = [r for r in rows if r["type"] == "flags"]
assert state["before"]["flags"] == "" and state["after"]["flags"] == "$Done \\Answered"
added = [r for r in rows if r["type"] == "added"]
assert sorted(r["after"]["title"] for r in added) == ["number 50", "number 51"]
assert all("place" not in r["after"] and "content" not in r["after"] and r["after"]["from"] == "eve@example.org" for r in added)
last = rows[-1]
assert last["type"] == "summary" and (last["added"], last["removed"], last["moved"], last["state"]) == (2, 4, 1, 1)
assert last["b"].startswith("imaps://alice@") and last["bytes_removed"] > 100
END2
run 0 diff latest alice --summary
[ "$(grep -c number "$box/out")" = 0 ] || die "--summary tells items"
says "INBOX: 1 added, 2 removed, 1 moved, 1 with other flags"

# ---- words that do not fit
run 2 diff alice latest
run 2 diff "$(at alice)" latest
hints 'the snapshot comes first'
run 1 diff latest other
hints 'take a snapshot of it'
run 2 diff latest alice --target-ca "$dovecot_ca"
run 2 diff latest "$(at alice)" --target-ca "$box/pw"

# ---- what is anywhere is not put again, but what is about to be thrown away does not count
client alice <<'END2'
box.create("Trash2"); move("1", "INBOX", "Trash2")
END2
run 0 restore latest --to alice --into . --missing-only --plan
says 'would restore 4 items'
says 'present'
printf '%s\n' "$out" | grep -q '^present .*:INBOX#.*3 → Archive$' || die "the plan does not tell where it is"
client bob <<'END2'
for f in ("Deep", "Deep/er", "Trash"): box.create(f)
for i in range(1, 5): put("Deep/er", None, i)
put("Deep", None, 5, b"other text")   # the same Message-ID, date and size is not enough
put("Deep", "(\\Deleted)", 6)         # is about to go
put("Trash", None, 7)
put("INBOX", None, 8)
put("Deep", None, 20)
END2
sed -i 's/mailbox Sent {/mailbox Trash {\n    special_use = \\Trash\n  }\n  mailbox Sent {/' "$box/d/conf"
kill -HUP "$(cat "$box/d/master.pid")"
sleep 1
dump bob >"$box/before"
rm -rf "$box/state"
run 0 restore latest --to "$(at bob)" --target-ca "$dovecot_ca" --into . --missing-only --json
says '"items_put":5'
says '"items_present":7'
says '"items_elsewhere":6'
dump bob >"$box/after"
[ "$(comm -13 "$box/before" "$box/after" | wc -l)" = 5 ] || die "not five came"
[ -z "$(comm -23 "$box/before" "$box/after")" ] || die "something went"
run 0 restore latest --to "$(at bob)" --target-ca "$dovecot_ca" --into . --missing-only
says 'restored 0 items'
says '12 were there already (6 of them in other folders)'
rm -rf "$box/state" # and without the journal
run 0 restore latest --to "$(at bob)" --target-ca "$dovecot_ca" --into . --missing-only
says 'restored 0 items'
dump bob | cmp -s - "$box/after" || die "twice is not once"
run 2 restore latest --to "$(at bob)" --target-ca "$dovecot_ca" --missing-only --flags-only
run 2 restore latest --to "$box/files" --missing-only

# ---- a plan that is applied: what stands in it, less what was taken out
run 0 restore latest --to "$(at carol)" --target-ca "$dovecot_ca" --plan="$box/plan"
[ "$(grep -c '"type":"put"' "$box/plan")" = 12 ] || die "the plan has not all"
grep -v -e '#.*0000000003"' -e '"collection":"Work/Old"' "$box/plan" >"$box/less"
run 0 restore latest --to "$(at carol)" --target-ca "$dovecot_ca" --apply "$box/less" --verify full
says "restored $(grep -c '"type":"put"' "$box/less") items"
[ "$(dump carol | wc -l)" = "$(grep -c '"type":"put"' "$box/less")" ] || die "other things were put than planned"
dump carol | grep -q Old && die "what was taken out of the plan was put"
run 0 restore latest --to "$(at carol)" --target-ca "$dovecot_ca" --apply "$box/less"
says 'restored 0 items'
run 3 restore latest --to "$(at carol)" --target-ca "$dovecot_ca" --apply "$box/plan" --exclude INBOX --into Other
hints 'items of the plan were not met'
run 2 restore latest --to "$(at bob)" --target-ca "$dovecot_ca" --apply "$box/plan"
hints 'is a plan for'
head -c -20 "$box/plan" >"$box/cut"
run 2 restore latest --to "$(at carol)" --target-ca "$dovecot_ca" --apply "$box/cut"
hints 'cut'
sed '$d' "$box/plan" >"$box/cut"
run 2 restore latest --to "$(at carol)" --target-ca "$dovecot_ca" --apply "$box/cut"
hints 'the summary, is missing'
run 1 restore latest --to "$(at carol)" --target-ca "$dovecot_ca" --apply "$box/nothing"

# ---- flags only: the plan says which, and then they are set, and nothing else
client carol <<'END2'
box.select("INBOX"); box.store("1:2", "FLAGS", "(\\Answered)"); box.store("3", "+FLAGS", "(Mine)")
END2
dump carol >"$box/before"
run 3 restore latest --to "$(at carol)" --target-ca "$dovecot_ca" --into . --flags-only --plan
printf '%s\n' "$out" | grep -q '^present .*  flags \\Answered → \\Seen$' || die "the plan does not tell flags"
says '3 would get their flags back'
dump carol | cmp -s - "$box/before" || die "a plan changed flags"
run 3 restore latest --to "$(at carol)" --target-ca "$dovecot_ca" --into . --flags-only
says '3 got their flags back'
dump carol | cut -f1,3- | sort >"$box/after"
cut -f1,3- "$box/before" | sort | cmp -s - "$box/after" || die "more than flags changed"
dump alice | sort >"$box/want"
