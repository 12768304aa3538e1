# A snapshot against what a server has now: what is gone, moved, new and flagged otherwise; what is anywhere is not put again.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/dovecot.sh"
dovecot_start
echo secret >"$box/pw"
export MAILHOLD_SOURCE_PASSWORD_FILE=$box/pw MAILHOLD_TARGET_PASSWORD_FILE=$box/pw
here=$(dirname "$0")
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
run 3 restore latest --to "$(at carol)" --target-ca "$dovecot_ca" --into . --flags-only --plan="$box/plan"
run 0 restore latest --to "$(at carol)" --target-ca "$dovecot_ca" --into . --flags-only --apply "$box/plan"
says '3 got their flags back'
run 3 restore latest --to "$(at carol)" --target-ca "$dovecot_ca" --into . --flags-only
says_not 'got their flags back'
dump carol | cut -f1,3- | sort >"$box/after"
cut -f1,3- "$box/before" | sort | cmp -s - "$box/after" || die "more than flags changed"
dump alice | sort >"$box/want"

# ---- what is no mail is no message there
mkdir -p "$box/tree/Post" "$box/tree/Termine"
mail "$box/tree/Post/a.eml" "a letter"
for i in 1 2; do
	printf 'BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:%d\r\nSUMMARY:choir\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n' $i >"$box/tree/Termine/$i.ics"
done
printf 'BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Bob\r\nEND:VCARD\r\n' >"$box/tree/Post/bob.vcf"
run 0 snapshot "$box/tree" --account tree
run 3 restore tree@latest --to "$(at tree)" --target-ca "$dovecot_ca" --plan
says 'would restore 1 items'
run 3 restore tree@latest --to "$(at tree)" --target-ca "$dovecot_ca"
says 'restored 1 items'
says '3 failed'
hints "not a collection or item of kind 'event'"
[ "$(dump tree | wc -l)" = 1 ] || die "what is no mail was put"
run 3 diff tree@latest "$(at tree)" --target-ca "$dovecot_ca"
says '1 removed'

# ---- a signed report: of everything, and no byte of it can be another one
run 0 init -r "$box/other" --key-file "$box/key2"
run 0 restore alice@latest --to "$(at dora)" --target-ca "$dovecot_ca" --report "$box/report" --verify full
says 'restored 12 items'
run 0 report verify "$box/report"
says 'genuine: signed by'
says '12 put'
python3 - "$box/report" <<'END2' || die "the report is not as it should be"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
assert rows[0]["type"] == "report" and rows[0]["version"] == 1 and rows[0]["account"] == "alice"
assert sum(r["type"] == "put" for r in rows) == 12
assert rows[-2]["type"] == "summary" and rows[-2]["items_wanted"] == rows[-2]["items_put"] == 12
assert rows[-2]["items_read_back"] == rows[-2]["bodies_read_back"] == 12 and rows[-2]["items_differ"] == 0
assert rows[-1]["type"] == "signature" and rows[-1]["lines"] == len(rows) - 1
END2
[ "$(stat -c %a "$box/report")" = 600 ] || die "others can read the report"
run 1 restore alice@latest --to "$(at dora)" --target-ca "$dovecot_ca" --report "$box/report"
hints 'never written over'
run 0 restore alice@latest --to "$(at dora)" --target-ca "$dovecot_ca" --report "$box/second" --json
says '"items_present":12'
[ "$(grep -c '"type":"present"' "$box/second")" = 12 ] || die "what was there is not in the report"
run 0 report verify "$box/second" --json
says '"genuine":true'
# Any byte: some at random, all of the last line.
python3 - "$box/report" "$box/flips" "${MAILHOLD_TEST_SEED:-1}" <<'END2'
import os, random, sys
data, seed = open(sys.argv[1], "rb").read(), random.Random(sys.argv[3])
last = data.rstrip(b"\n").rfind(b"\n") + 1
places = sorted(seed.sample(range(last), 6)) + [last - 1, last, last + 12, last + 26, len(data) - 130, len(data) - 1]
os.mkdir(sys.argv[2])
for i, at in enumerate(places):
    bad = bytearray(data); bad[at] ^= 1 << seed.randrange(8)
    open("%s/%d" % (sys.argv[2], i), "wb").write(bad)
lines = data.splitlines(True)
for name, rows in (("cut", lines[:-1]), ("dropped", lines[:3] + lines[4:]), ("swapped", lines[:2] + [lines[3], lines[2]] + lines[4:]),
                   ("longer", lines + [b"{}\n"]), ("space", lines[:-1] + [lines[-1].replace(b":", b": ", 1)]), ("empty", [])):
    open(sys.argv[2] + "/" + name, "wb").write(b"".join(rows))
END2
for file in "$box/flips"/*; do
	run 1 report verify "$file"
done
hints 'was changed'
run 1 report verify "$box/flips/cut"
hints 'does not end with a signature'
run 12 -r "$box/other" --key-file "$box/key2" report verify "$box/report"
hints 'another repository'
run 1 report verify "$box/nothing"
run 2 report sign "$box/report"
# A keeper's key tells as well; what a removed key signed cannot be told any more.
run 0 key add --role keeper --label keeper --new-key-file "$box/keeper"
MAILHOLD_KEY_FILE=$box/keeper run 0 report verify "$box/report"
run 0 key add --role full --label clerk --new-key-file "$box/clerk"
MAILHOLD_KEY_FILE=$box/clerk run 0 restore alice@latest:Work --to "$(at ed)" --target-ca "$dovecot_ca" --report "$box/clerks"
run 0 report verify "$box/clerks"
says '(clerk)'
run 0 key remove clerk
run 1 report verify "$box/clerks"
hints 'was removed'
# What fails has a report, too; where nothing was begun there is none.
run 2 restore alice@latest --to "$(at ed)" --target-ca "$dovecot_ca" --plan --report "$box/third"
run 2 restore alice@latest --to "$(at ed)" --target-ca "$box/tls/ca.key" --report "$box/third"
[ ! -e "$box/third" ] || die "a report of nothing was left"
