#!/usr/bin/env bash
# Uses the service of axum_app or actix_app: examples/notes.sh http://127.0.0.1:3000
set -euo pipefail
url=$1
cookies=$(mktemp)
trap 'rm -f "$cookies"' EXIT
by_session() { curl -sS -b "$cookies" -H "Origin: $url" "$@"; }
json=(-H 'Content-Type: application/json')

curl -sS -c "$cookies" -d ada "$url/login"
echo "-- ada writes a note by her session"
by_session -d 'buy milk' "$url/notebooks/home"
echo "-- ada creates a token that reads one notebook, and sees it once"
created=$(by_session "${json[@]}" -d '{"name":"reader","abilities":["notebooks:home:read"]}' "$url/account/tokens")
token=$(sed 's/.*"token":"\([^"]*\)".*/\1/' <<<"$created")
by_token() { curl -sS -K <(echo "header = \"Authorization: Bearer $token\"") "$@"; }
echo "-- the token reads"
by_token "$url/notebooks/home"
echo "-- and can't write"
by_token -d 'no' "$url/notebooks/home"
printf '\n-- ada sees its name, its abilities and its last use\n'
by_session "$url/account/tokens"
printf '\n-- the token ends itself\n'
by_token -X DELETE -w '%{http_code}\n' "$url/account/tokens/current"
by_token "$url/notebooks/home"
echo
