#!/bin/sh
# Ask about a picture with curl alone; prints the server's JSON.
#
# ./ask.sh gauge.jpg "What does the gauge read?"
set -eu
[ $# -eq 2 ] || { echo "usage: $0 PICTURE QUESTION" >&2; exit 2; }

# a picture is too long for a command line, so the body goes through a pipe
{
  printf '{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:;base64,'
  base64 < "$1" | tr -d '\n'
  printf '"}},{"type":"text","text":"%s"}]}]}' "$(printf %s "$2" | sed 's/\\/\\\\/g; s/"/\\"/g')"
} | curl --silent --show-error --fail-with-body "${EDGEVLM_URL:-http://127.0.0.1:8000}/v1/chat/completions" \
  -H "Authorization: Bearer ${EDGEVLM_KEY:-none}" -H 'Content-Type: application/json' -d @-
echo
