# What is installed works from where it was put, with a man page, a completion and the documents beside it.
. "$(dirname "$0")/lib.sh"
command -v cmake >/dev/null || skip "no cmake"
DESTDIR="$box/a root" cmake --install "$(dirname "$MAILHOLD")" --prefix /usr >"$box/log" 2>&1 || die "$(cat "$box/log")"
for file in share/man/man1/mailhold.1 share/bash-completion/completions/mailhold share/doc/mailhold/LICENSE \
	share/doc/mailhold/README.md share/doc/mailhold/docs/README.md share/doc/mailhold/docs/format/pack.md; do
	[ -s "$box/a root/usr/$file" ] || die "$file was not installed"
done
bash -n "$box/a root/usr/share/bash-completion/completions/mailhold" || die "the completion does not parse"

# No document that is installed points to one that is not.
cd "$box/a root/usr/share/doc/mailhold" || die "no documents"
find . -name '*.md' | while read -r page; do
	grep -o '](\([^)#:]*\)[)#]' "$page" | sed 's/^](//; s/[)#]$//' | while read -r link; do
		[ -z "$link" ] || [ -e "$(dirname "$page")/$link" ] || echo "$page: $link"
	done
done | grep -v 'bench/' >"$box/dead"
[ ! -s "$box/dead" ] || die "dead links: $(cat "$box/dead")"

MAILHOLD="$box/a root/usr/bin/mailhold"
run 0 version
says "mailhold "
maildir "$box/ann/Maildir"
init
run 0 snapshot "$box/ann/Maildir"
echo "ok"
