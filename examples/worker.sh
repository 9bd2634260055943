#!/bin/sh
# worker.sh TYPE COMMAND...: runs COMMAND for each job of TYPE. It gets the lease on its
# standard input; what it prints, one JSON value, is the result. Exit code 75 means that another
# run may succeed. Lines that it writes to $LONGSHORE_PROGRESS begin with how many percent are done.
# An API key or a token is in $LONGSHORE_KEY, which COMMAND does not get.
S=${LONGSHORE_SERVER:-http://127.0.0.1:8080}
J='Content-Type: application/json'
type=$1
shift
dir=$(mktemp -d)
export LONGSHORE_PROGRESS="$dir/progress"
# curl reads the key from a file that nobody else may read: its arguments are in the list of processes.
printf '%s' "${LONGSHORE_KEY:+header = \"Authorization: Bearer $LONGSHORE_KEY\"}" >"$dir/curl"
unset LONGSHORE_KEY
key=$(uname -n)-${dir##*/} n=0 # make a name for each request for a job, which nobody else has
lease= child= beats=

# TERM and Ctrl-C end the command and give the job back; a second one does not wait for that.
# After kill -9 the heartbeats end by themselves, and the server hands the job out again.
quit() {
	trap - INT TERM
	[ -z "$child" ] || { kill "$child" && wait "$child"; }
	[ -z "$lease" ] || curl -s -K "$dir/curl" -m 10 -X POST "$S$lease/release" -o /dev/null
	[ -z "$beats" ] || kill "$beats"
	rm -rf "$dir"
}
trap quit EXIT
trap 'exit 1' INT TERM

# progress prints a heartbeat's body: the percentage in the last line, if there is one.
progress() {
	percent=$(tail -n 1 "$LONGSHORE_PROGRESS" | sed 's/[^0-9].*//; s/^0*\([0-9]\)/\1/')
	[ "${percent:-101}" -le 100 ] && printf '{"progress":{"percent":%s}}' "$percent"
}

# beat keeps the lease while the script lives, and ends the command when the job is not its own
# any more.
beat() {
	while sleep "$every" && kill -0 $$ 2>/dev/null; do
		case $(curl -s -K "$dir/curl" -m "$every" "$S$lease/heartbeat" -H "$J" -d "$(progress)") in
		*'"canceled":true'* | *'"lease-lost"'* | *'"lease-not-found"'*)
			[ -e "$dir/report" ] || { : >"$dir/over" && kill "$child"; }
			return
			;;
		esac
	done
}

# report sends the file "report" until it is answered, and fails if it is refused.
report() {
	while :; do
		case $(curl -s -K "$dir/curl" -m 30 "$S$lease/$1" -H "$J" --data-binary @"$dir/report" -o /dev/null -w '%{http_code}') in
		2??) return 0 ;;
		408 | 429) ;; # too slow, or too often
		4??) return 1 ;;
		esac
		sleep 2
	done
}

while :; do
	rm -f "$dir/lease"
	curl -s -K "$dir/curl" -m 60 "$S/v1/dequeue" -H "$J" -H "Idempotency-Key: $key-$n" \
		-d '{"types":["'"$type"'"],"wait_seconds":30}' \
		-D "$dir/head" -o "$dir/lease" -w '%{http_code}' >"$dir/code" &
	child=$!
	wait "$child"
	child=
	case $(cat "$dir/code") in
	201) lease=$(sed -n 's/^[Ll]ocation: *\([^[:space:]]*\).*/\1/p' "$dir/head") ;;
	204) ;; # nothing yet
	*) # No answer: by the same name there is the same lease, if there was one, and it is not over.
		grep -qs '"lease-lost"' "$dir/lease" || { sleep 5 && continue; } ;;
	esac
	n=$((n + 1))
	[ -n "$lease" ] || continue
	every=$(sed -n 's/.*"heartbeat_in_seconds":\([0-9]*\).*/\1/p' "$dir/lease")
	[ "$every" -gt 0 ] || every=1

	rm -f "$dir/over" "$dir/report"
	: >"$LONGSHORE_PROGRESS"
	"$@" <"$dir/lease" >"$dir/result" &
	child=$!
	beat </dev/null >/dev/null 2>&1 &
	beats=$!
	wait "$child"
	code=$?
	child=
	[ "$code" -eq 0 ] && reason=bad-result || reason=exit-code
	[ "$code" -eq 75 ] && again=true || again=false
	[ -s "$dir/result" ] || echo null >"$dir/result"
	if [ ! -e "$dir/over" ]; then
		(printf '{"result":' && cat "$dir/result" && printf '}') >"$dir/report"
		[ "$code" -eq 0 ] && report finish || {
			printf '{"error":{"reason":"%s","details":{"exit_code":%d}},"retryable":%s}' \
				$reason "$code" $again >"$dir/report"
			report fail
		}
	fi
	kill "$beats"
	lease= beats=
done
