# What is installed works from where it was put, with a man page, a completion and the documents beside it.
. "$(dirname "$0")/lib.sh"
command -v cmake >/dev/null || skip "no cmake"
DESTDIR="$box/a root" cmake --install "$(dirname "$MAILHOLD")" --prefix /usr >"$box/log" 2>&1 || die "$(cat "$box/log")"
for file in share/man/man1/mailhold.1 share/bash-completion/completions/mailhold share/doc/mailhold/LICENSE \
	share/doc/mailhold/README.md share/doc/mailhold/docs/README.md share/doc/mailhold/docs/format/pack.md; do
	[ -s "$box/a root/usr/$file" ] || die "$file was not installed"
done
bash -n "$box/a root/usr/share/bash-completion/completions/mailhold" || die "the completion does not parse"

# Links in the documents of folder $1 that lead nowhere.
dead_links()
{
	(
		cd "$1" || exit
		find . -name '*.md' -not -path './build*' | while read -r page; do
			grep -o '](\([^)#:]*\)[)#]' "$page" | sed 's/^](//; s/[)#]$//' | while read -r link; do
				[ -z "$link" ] || [ -e "$(dirname "$page")/$link" ] || echo "$page: $link"
			done
		done
	)
}
dead_links "$(dirname "$0")/../.." >"$box/dead"
[ ! -s "$box/dead" ] || die "dead links: $(cat "$box/dead")"
# Benchmarks and tests stay with the source.
dead_links "$box/a root/usr/share/doc/mailhold" | grep -v -e 'bench/' -e 'tests/' >"$box/dead"
[ ! -s "$box/dead" ] || die "dead links where it was installed: $(cat "$box/dead")"

MAILHOLD="$box/a root/usr/bin/mailhold"
run 0 version
says "mailhold "
maildir "$box/ann/Maildir"
init
run 0 snapshot "$box/ann/Maildir"
echo "ok"
