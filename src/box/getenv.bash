# Prints the environment of a dev shell, as nix/devenv.h describes it: what Nix's src/nix/get-env.sh prints, in fewer
# bytes. Run by the shell's own bash with the variables of its derivation; everything called is part of bash, as the
# environment may have no other program. Its own names begin with __igloo_, since any other may be the environment's.
# shellcheck disable=SC2154,SC2178 # names that are given, or stand for others
set -e
export IN_NIX_SHELL=impure dontAddDisableDepTrack=1
if [[ -n ${stdenv-} ]]; then
	# shellcheck disable=SC1091
	source "$stdenv/setup"
fi
__igloo_vars=$(declare -p)
__igloo_functions=$(declare -F)

__igloo_text()
{
	local __igloo_s=$1
	__igloo_s=${__igloo_s//\\/\\\\}
	__igloo_s=${__igloo_s//\"/\\\"}
	__igloo_s=${__igloo_s//$'\n'/\\n}
	__igloo_s=${__igloo_s//$'\r'/\\r}
	__igloo_s=${__igloo_s//$'\t'/\\t}
	printf '"%s"' "$__igloo_s"
}

# Of the function __igloo_name.
__igloo_function()
{
	local __igloo_body
	__igloo_body=$(type "$__igloo_name")
	[[ $__igloo_body =~ \{(.*)\} ]] || return 0
	__igloo_body=${BASH_REMATCH[1]}
	printf '%s' "$__igloo_sep"
	__igloo_sep=,
	__igloo_text "$__igloo_name"
	printf ':'
	__igloo_text "$__igloo_body"
}

__igloo_list()
{
	local -n __igloo_ref=$__igloo_name
	local __igloo_item __igloo_comma=
	printf '"array","value":['
	for __igloo_item in "${__igloo_ref[@]}"; do
		printf '%s' "$__igloo_comma"
		__igloo_comma=,
		__igloo_text "$__igloo_item"
	done
	printf ']'
}

__igloo_table()
{
	local -n __igloo_ref=$__igloo_name
	local __igloo_item __igloo_comma=
	printf '"associative","value":{'
	for __igloo_item in "${!__igloo_ref[@]}"; do
		printf '%s' "$__igloo_comma"
		__igloo_comma=,
		__igloo_text "$__igloo_item"
		printf ':'
		__igloo_text "${__igloo_ref[$__igloo_item]}"
	done
	printf '}'
}

# Of the variable __igloo_name with the attributes __igloo_type.
__igloo_variable()
{
	case $__igloo_name in
	BASH_* | COMP_* | __igloo_* | _ | DIRSTACK | EPOCHREALTIME | EPOCHSECONDS | FUNCNAME | GROUPS | HOSTNAME | LINENO | \
		PIPESTATUS | PWD | RANDOM | SECONDS | SHLVL | SRANDOM)
		return
		;;
	esac
	[[ $__igloo_type =~ ^-[-xaA]$ ]] || return 0
	printf '%s' "$__igloo_sep"
	__igloo_sep=,
	__igloo_text "$__igloo_name"
	printf ':{"type":'
	case $__igloo_type in
	-a) __igloo_list ;;
	-A) __igloo_table ;;
	-x) printf '"exported","value":' && __igloo_text "${!__igloo_name}" ;;
	--) printf '"var","value":' && __igloo_text "${!__igloo_name}" ;;
	esac
	printf '}'
}

__igloo_sep=
printf '{"bashFunctions":{'
while IFS= read -r __igloo_line; do
	__igloo_name=${__igloo_line#declare -f }
	if [[ $__igloo_name != "$__igloo_line" && $__igloo_name != __igloo_* ]]; then
		__igloo_function
	fi
done <<<"$__igloo_functions"
__igloo_sep=
printf '},"variables":{'
while IFS= read -r __igloo_line; do
	if [[ $__igloo_line =~ ^'declare '(-[^ ]+)' '([a-zA-Z_][a-zA-Z0-9_]*) ]]; then
		__igloo_type=${BASH_REMATCH[1]} __igloo_name=${BASH_REMATCH[2]}
		__igloo_variable
	fi
done <<<"$__igloo_vars"
printf '}}\n'
