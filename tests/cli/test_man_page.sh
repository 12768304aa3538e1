# The man page tells every command that there is, and every option of it, where the command is told.
. "$(dirname "$0")/lib.sh"
page=$(dirname "$0")/../../docs/man/mailhold.1

# What the page says of command $1: from its item to the next one's.
told()
{
	awk -v command="$1" '
		/^\.It Cm / { inside = $3 == command }
		/^\.Sh / { inside = 0 }
		inside' "$page"
}

# The long options in a help text, but for those of every command.
own_options()
{
	sed -n '/^options:/,/^$/s/^  .\{4\}\(--[a-z-]*\).*/\1/p'
}

run 0 help
commands=$(printf '%s\n' "$out" | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ "$(printf '%s\n' "$commands" | wc -l)" -ge 15 ] || die "help tells too few commands"
for option in $(printf '%s\n' "$out" | sed -n '/^options of every command:/,/^$/s/^  .\{4\}\(--[a-z-]*\).*/\1/p'); do
	grep -q -e "^\.It Fl.* -\?${option#-}\b" "$page" || die "the page does not tell $option"
done
count=0
for command in $commands; do
	[ -n "$(told "$command")" ] || die "the page does not tell $command"
	run 0 help "$command"
	for option in $(printf '%s\n' "$out" | own_options); do
		told "$command" | grep -q -e " ${option#-}\b" || die "the page does not tell $option of $command"
		count=$((count + 1))
	done
done
[ "$count" -ge 30 ] || die "only $count options were looked for"
echo "ok"
