#!/bin/bash
# A real agent program from npm in a box: it asks a model (one of our own, agent/model.mjs, inside the box: there is no
# network) and runs the shell command the model wants, with the tools of the repository's flake.
. "$(dirname "$0")/lib.sh"
here=$(dirname "$(realpath "$0")")

mkproject agent nodejs git jq coreutils bash
cp "$here/agent/model.mjs" .
echo node_modules >.gitignore
agent=node_modules/@anthropic-ai/claude-code/cli.js

if ! command -v npm >/dev/null; then
	skip "an agent from npm works with the repository's tools" "npm"
elif ! timeout 120 npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
	@anthropic-ai/claude-code@1.0.60 >"$T/npm.log" 2>&1 || [[ ! -e $agent ]]; then
	skip "an agent from npm works with the repository's tools" "a package registry for npm: $(tail -n 1 "$T/npm.log")"
else
	git add -A && git commit -qm 'with an agent'
	prints "an agent from npm works with the repository's tools, as the box's user" "DONE MARK-42 igloo" \
		timeout 120 igloo run -- node model.mjs "$agent" -p 'say the mark' --dangerously-skip-permissions
	is "what it wrote is in the workspace" "$(cat from-agent 2>/dev/null)" agent
fi
