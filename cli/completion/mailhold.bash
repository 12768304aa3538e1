# Completion of mailhold for bash: commands, options, the words that options take, files elsewhere.

_mailhold_options()
{
	local global='-r --repository --config --password-file --password-command --key-file --cache-folder --expect-head --wait --json
		-q --quiet -v --verbose --no-progress -h --help'
	local keep='--keep-last --keep-hourly --keep-daily --keep-weekly --keep-monthly --keep-quarterly --keep-yearly
		--keep-within --keep-within-hourly --keep-within-daily --keep-within-weekly --keep-within-monthly
		--keep-within-quarterly --keep-within-yearly --keep-tag -a --account --force'
	case $1 in
	init) printf '%s ' "--label --parity $global" ;;
	snapshot | backup)
		printf '%s ' "-a --account --all -j --jobs --max-rate --quiet-hours -t --tag --rescan -n --dry-run --no-parent --compression --source-password-file
			--source-password-command --source-token-command --source-auth --source-ca
			--source-fingerprint --source-tls --source-compress --source-connections --source-wait $global" ;;
	snapshots) printf '%s ' "-a --account --trash --all $global" ;;
	ls) printf '%s ' "-l --long $global" ;;
	cat) printf '%s ' "--stream $global" ;;
	find)
		printf '%s ' "--from --to -s --subject -d --date --after --before --message-id --attachment -k --kind
			-c --collection --place -a --account $global" ;;
	diff) printf '%s ' "--summary --target-password-file --target-password-command --target-token-command --target-ca $global" ;;
	deleted) printf '%s ' "-s --since -a --account $global" ;;
	restore)
		printf '%s ' "-t --to --into --collision --map --include --exclude --plan -n --dry-run --apply --report --missing-only --repair-bytes --flags-only
			--undo --verify
			--target-password-file --target-password-command --target-token-command --target-ca $global" ;;
	copy)
		printf '%s ' "--to -a --account --since --until -t --tag --verify -n --dry-run --to-password-file
			--to-password-command --to-key-file $global" ;;
	forget) printf '%s ' "-u --undo -n --dry-run $keep $global" ;;
	hold)
		printf '%s ' "-l --label --until -q --query --from --to -s --subject -d --date --after --before --message-id
			--attachment -k --kind -c --collection --place -a --account $global" ;;
	prune) printf '%s ' "-n --dry-run --now --trash --max-unused --max-repack --max-duration --fence $keep $global" ;;
	session) printf '%s ' "-n --dry-run $global" ;;
	key)
		printf '%s ' "--label --role -a --account --new-key-file --new-password-file --new-password-command --all --rotate $global" ;;
	account)
		printf '%s ' "--source-password-file --source-password-command --source-token-command --oauth --keyring --password-in-file
			--source-auth --source-ca --source-fingerprint --source-tls -t --tag --no-test --all $global" ;;
	parity) printf '%s ' "-n --dry-run $global" ;;
	check) printf '%s ' "--read-data $global" ;;
	repair)
		printf '%s ' "-n --dry-run --from --from-password-file --from-password-command --from-key-file $global" ;;
	'') printf '%s ' "--version $global" ;;
	*) printf '%s ' "$global" ;;
	esac
}

_mailhold()
{
	local commands='init snapshot backup snapshots ls cat find diff deleted restore report copy forget prune session pin unpin hold check repair stats
		parity key account version help'
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' i

	COMPREPLY=()
	# The command is the first word that is neither an option nor the value of one.
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-r | --repository | --config | --password-file | --password-command | --key-file | --cache-folder | --expect-head | --wait)
			((i++)) ;;
		-*) ;;
		*)
			command=${COMP_WORDS[i]}
			break ;;
		esac
	done
	case $before in
	-r | --repository | --cache-folder)
		mapfile -t COMPREPLY < <(compgen -d -- "$word")
		return ;;
	--config | --source-password-file | --source-ca | --password-file | --key-file | --from-password-file | --from-key-file | --from | --new-password-file | --new-key-file | \
		--to-password-file | --to-key-file | --plan)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return ;;
	--compression)
		mapfile -t COMPREPLY < <(compgen -W 'fast default max' -- "$word")
		return ;;
	--source-auth)
		mapfile -t COMPREPLY < <(compgen -W 'scram-sha-256 scram-sha-1 plain login oauthbearer xoauth2 basic digest bearer' -- "$word")
		return ;;
	--role)
		mapfile -t COMPREPLY < <(compgen -W 'full deposit keeper' -- "$word")
		return ;;
	parity)
		mapfile -t COMPREPLY < <(compgen -W 'set add' -- "$word")
		return ;;
	repair)
		mapfile -t COMPREPLY < <(compgen -W 'packs parity ledger index' -- "$word")
		return ;;
	key)
		mapfile -t COMPREPLY < <(compgen -W 'list add remove passwd rotate export' -- "$word")
		return ;;
	account)
		mapfile -t COMPREPLY < <(compgen -W 'list add test remove login logout' -- "$word")
		return ;;
	--source-tls)
		mapfile -t COMPREPLY < <(compgen -W 'required off off-anywhere' -- "$word")
		return ;;
	hold)
		mapfile -t COMPREPLY < <(compgen -W 'add list remove' -- "$word")
		return ;;
	report)
		mapfile -t COMPREPLY < <(compgen -W 'verify' -- "$word")
		return ;;
	session)
		mapfile -t COMPREPLY < <(compgen -W 'list fence' -- "$word")
		return ;;
	--collision)
		mapfile -t COMPREPLY < <(compgen -W 'skip copy replace' -- "$word")
		return ;;
	-k | --kind)
		mapfile -t COMPREPLY < <(compgen -W 'mail event task contact note rule settings other' -- "$word")
		return ;;
	esac
	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_mailhold_options "$command")" -- "$word")
	elif [[ -z $command || $command == help ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
	elif [[ $command == snapshot || $command == backup || $command == init || $before == --to || $before == -t ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
	elif [[ $word != *:* && ($command == ls || $command == cat || $command == restore || $command == diff ||
		$command == forget || $command == pin || $command == unpin) ]]; then
		mapfile -t COMPREPLY < <(compgen -W 'latest yesterday' -- "$word")
	fi
}

complete -o filenames -F _mailhold mailhold
