# Merges the results of count.sh into a table, as a command that a Longshore worker runs. The
# jobs that this one depends on are in the file that LONGSHORE_DEPENDENCIES names:
#
#   [{"id":"...","type":"count","state":"finished","result":{"path":...,"lines":...,...}},...]
#
# The table has a row of lines, words and path for each file, separated by tabs, the longest
# file first, and a last row with the totals. Files that could not be counted have no row.
set -eu
LC_ALL=C
export LC_ALL
tab=$(printf '\t')

# Each result begins at a brace of its own, and no path contains one.
tr '{' '\n' <"$LONGSHORE_DEPENDENCIES" |
	sed -n 's/^"path":"\([^"]*\)","lines":\([0-9]*\),"words":\([0-9]*\),.*/\2'"$tab"'\3'"$tab"'\1/p' |
	sed 's/\\\\/\\/g' |
	sort -t "$tab" -k 1,1nr -k 3,3 |
	awk -F '\t' '{ lines += $1; words += $2; print } END { printf "%.0f\t%.0f\ttotal\n", lines, words }'
