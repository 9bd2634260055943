# Counts the lines and words of one file, as a command that a Longshore worker runs: a job's
# args arrive on standard input, and what goes to standard output is its result.
#
#   args    {"path":"src/main.go"}, or {"path":"src/main.go","linger_seconds":60}
#   result  {"path":"src/main.go","lines":12,"words":40,"worker":"worker-1"}
#
# Bytes of a path that mean something to JSON or to a shell come as the \0ooo that printf %b
# understands, each backslash written twice as JSON demands. So no JSON parser is needed.
set -eu

IFS= read -r args || :
path=${args#*'"path":"'}
path=${path%%'"'*}

# The first %b makes one backslash of two, the second makes bytes of \0ooo. The dot at the end
# keeps a newline at the end of a name, which $(...) would drop.
escaped=$(printf '%b' "$path")
file=$(printf '%b.' "$escaped")
file=${file%.}

# Whoever gets such a job takes its time, until one of them has been killed meanwhile.
case $args in
*'"linger_seconds":'*)
	if [ ! -e "$DEMO_TMP/lingered" ]; then
		seconds=${args#*'"linger_seconds":'}
		echo "$DEMO_WORKER $$ $LONGSHORE_ATTEMPT" >"$DEMO_TMP/lingering.new"
		mv "$DEMO_TMP/lingering.new" "$DEMO_TMP/lingering"
		sleep "${seconds%%[!0-9]*}"
	fi
	;;
esac

counts=$(wc -l -w <"$file")
set -- $counts
printf '{"path":"%s","lines":%s,"words":%s,"worker":"%s"}\n' "$path" "$1" "$2" "$DEMO_WORKER"
