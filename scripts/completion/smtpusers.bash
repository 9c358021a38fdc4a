# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

# Completion of smtpusers(8) for bash(1).

# The options of a subcommand.
_smtpusers_options()
{
	local password="--stdin --generate --scheme"

	case $1 in
	"")	echo "-f -h --help --version" ;;
	add)	echo "--account --mode --status --quota --quota-period --rate \
		    --description --domain --no-password $password" ;;
	passwd)	echo "$password" ;;
	show|account-show|report|fields)
		echo "--json" ;;
	quota|account-quota)
		echo "--json --reset" ;;
	list)	echo "--account --status --mode --domain --match --unused \
		    --ip-auth --json --names" ;;
	rm)	echo "--yes --purge" ;;
	block)	echo "--until" ;;
	account-rm)
		echo "--yes" ;;
	log)	echo "-f -n --json" ;;
	queue)	echo "--all --json --pause --resume --remove --yes" ;;
	events)	echo "-f -n --since --json" ;;
	explain)
		echo "--mail-from --from-header --source --json" ;;
	top)	echo "--by --last --account -n --json" ;;
	stats)	echo "--since --by --json" ;;
	account-add)
		echo "--plan --domain" ;;
	account-list)
		echo "--json --names" ;;
	suppress-add|suppress-import)
		echo "--account --for" ;;
	suppress-rm)
		echo "--account --expired" ;;
	suppress-list)
		echo "--account --json" ;;
	export)	echo "--format --users --accounts" ;;
	import)	echo "--format --replace --check --from-line --errors --wait" ;;
	check)	echo "--fix --json --server --relay-user" ;;
	status)	echo "--json --forget" ;;
	metrics)
		echo "--text --output" ;;
	setup)	echo "--redis --redis-user --password-file --ca --prefix \
		    --report-url --relay-user --output --force" ;;
	esac
	[ -z "$1" ] || echo "-h --help"
}

# What may stand behind an option; "-" where it is anybody's guess.
_smtpusers_value()
{
	case $1 in
	--account)	[ "$2" = top ] || echo "@accounts" ;;
	--by)		case $2 in
			top)	echo "messages recipients bytes blocks" ;;
			stats)	echo "hour reason" ;;
			esac ;;
	--last)		echo "1h 24h 48h" ;;
	--since)	echo "24h 7d 35d" ;;
	--mode|--status)
			echo "@user-words ${1#--}" ;;
	--scheme)	echo "yescrypt bcrypt" ;;
	--plan)		echo "basic pro" ;;
	--format)	echo "jsonl csv" ;;
	--errors|--password-file|--ca|--output)
			echo "@files" ;;
	-n|--quota|--quota-period|--rate|--description|--domain|--match|\
	--unused|--for|--until|--mail-from|--from-header|--source|--from-line|--wait|--redis|\
	--redis-user|--prefix|--report-url|--relay-user|--forget)
			echo "-" ;;
	-f)		[ -n "$2" ] || echo "@files" ;;
	esac
}

# What may stand behind the words of a command line that are no options.
_smtpusers_words()
{
	case $* in
	"")	echo "add passwd show quota list rm rename block allow set \
		    fields domain source ipauth suppress account report log events \
		    queue explain top stats import export check status \
		    metrics setup" ;;
	passwd|show|quota|rm|rename|block|allow|log|events|queue|explain|set|\
	check|check\ *|domain\ add|domain\ rm|source\ add|source\ rm|\
	ip\ add|ip\ rm|\
	ipauth\ set|ipauth\ clear|\
	suppress\ add|suppress\ rm|suppress\ list|suppress\ import)
		echo "@users" ;;
	domain|source|ip)
		echo "add rm" ;;
	ipauth)	echo "set clear" ;;
	suppress)
		echo "add rm list import" ;;
	account)
		echo "add set domain show quota list rm" ;;
	account\ domain)
		echo "add rm" ;;
	account\ set|account\ show|account\ quota|account\ rm|account\ domain\ add|\
	account\ domain\ rm)
		echo "@accounts" ;;
	"account set "*\ *\ *|"set "*\ *\ *)
		;;
	"account set "*\ *)
		echo "@account-words ${1##* }" ;;
	"account set "*)
		echo "@account-fields" ;;
	"set "*\ *)
		echo "@user-words ${1##* }" ;;
	"set "*)
		echo "@user-fields" ;;
	import|"suppress import "*)
		echo "@files" ;;
	esac
}

# What Redis knows, as the command asks for it; nothing where Redis is away or
# slow.
_smtpusers_ask()
{
	local command=$1 file=$2

	shift 2
	timeout 5 "$command" ${file:+-f "$file"} complete "$@" 2>/dev/null \
	    </dev/null
}

# The words of a command line up to the cursor, of which the last may be empty.
# Those of bash are also split at "=" and "@".
_smtpusers_split()
{
	local line=$1 quote="" word="" i c

	words=()
	for ((i = 0; i < ${#line}; i++)); do
		c=${line:i:1}
		if [ "$c" = "$quote" ]; then
			quote=""
		elif [ -n "$quote" ]; then
			word+=$c
		elif [ "$c" = \' ] || [ "$c" = \" ]; then
			quote=$c
		elif [ "$c" = \\ ]; then
			i=$((i + 1))
			word+=${line:i:1}
		elif [ "$c" != " " ]; then
			word+=$c
		elif [ -n "$word" ]; then
			words+=("$word")
			word=""
		fi
	done
	words+=("$word")
}

_smtpusers()
{
	local -a words offered plain=()
	local IFS=$' \t\n' current skip="" file="" word value i

	COMPREPLY=()
	_smtpusers_split "${COMP_LINE:0:COMP_POINT}"
	current=${words[-1]}
	for ((i = 1; i < ${#words[@]} - 1; i++)); do
		word=${words[i]}
		if [ -n "$skip" ]; then
			[ "$skip" != -f ] || file=${word/#\~\//$HOME/}
			skip=""
		elif [ "${word#-}" = "$word" ]; then
			plain+=("$word")
		elif [ -n "$(_smtpusers_value "$word" "${plain[*]}")" ]; then
			skip=$word
		fi
	done
	case $current in
	--*=*)	skip=${current%%=*}
		current=${current#*=} ;;
	esac

	if [ -n "$skip" ]; then
		value=$(_smtpusers_value "$skip" "${plain[*]}")
	elif [ "${current#-}" = "$current" ]; then
		value=$(_smtpusers_words "${plain[*]}")
	elif [ "${plain[0]}" = account ] || [ "${plain[0]}" = suppress ]; then
		value=$(_smtpusers_options "${plain[0]}-${plain[1]}")
	else
		value=$(_smtpusers_options "${plain[0]}")
	fi

	case $value in
	@users)	value=$(_smtpusers_ask "${words[0]}" "$file" user "$current") ;;
	@accounts)
		value=$(_smtpusers_ask "${words[0]}" "$file" account \
		    "$current") ;;
	@*-fields)
		value=$(_smtpusers_ask "${words[0]}" "$file" "${value#@}") ;;
	@*-words\ *)
		value=${value#@}
		value=$(_smtpusers_ask "${words[0]}" "$file" "${value%% *}" \
		    "${value#* }" "$current") ;;
	@files)	mapfile -t COMPREPLY < <(compgen -f -- "$current")
		compopt -o filenames 2>/dev/null
		return ;;
	-)	return ;;
	esac
	# Not by compgen -W, which runs commands that are in the words.
	read -r -d "" -a offered <<<"$value"
	for word in "${offered[@]}"; do
		case $word in
		"$current"*)
			COMPREPLY+=("$word") ;;
		esac
	done
}

complete -F _smtpusers smtpusers
