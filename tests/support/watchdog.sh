# Runs one server for a test process and never lets it outlive that process.
# Used as `sh watchdog.sh NAME STATE_DIR REMOVE PROGRAM ARGS...`, with stdin
# a pipe whose only writing end the test process holds. However that
# process ends (return, panic, kill -9), the kernel closes the pipe, and this
# shell, which reads from it, kills the server. POSIX sh, no other tools.
#
# Orders, one a line, on the pipe:
#   TERM, KILL, ...   send this signal to the server
#   KEEP              when the pipe closes, leave STATE_DIR alone
# It writes STATE_DIR/NAME.pid, NAME.log (both streams of the server) and, when
# the server has ended, NAME.exit with its exit code.
name=$1 state=$2 remove=$3
shift 3
cd "$state" || exit 1
exit_file=$state/$name.exit

exec 3<&0 </dev/null
"$@" 3<&- >>"$state/$name.log" 2>&1 &
server=$!
echo "$server" >"$state/$name.pid.new" && mv "$state/$name.pid.new" "$state/$name.pid"

# The reader, in the background because `wait` must be in the foreground. Its
# own exit code carries the one thing the foreground has to know: 0 = remove.
(
    while read -r order; do
        case $order in
        KEEP) remove=no ;;
        # Once the server has ended, its number may belong to somebody else.
        *) [ -e "$exit_file" ] || kill -s "$order" "$server" ;;
        esac
    done
    [ -e "$exit_file" ] || kill -s KILL "$server"
    [ "$remove" = yes ]
) <&3 2>/dev/null &
reader=$!
exec 3<&-

wait "$server"
echo "$?" 2>/dev/null >"$exit_file.new" && mv "$exit_file.new" "$exit_file" 2>/dev/null

if wait "$reader"; then
    cd /
    # Several watchdogs may share the directory, and one may write its last file
    # into what another is removing. That one removes it too, so a few tries do.
    tries=50
    while rm -rf "$state" 2>/dev/null; [ -e "$state" ] && [ $tries -gt 0 ]; do
        tries=$((tries - 1))
        sleep 0.1 2>/dev/null || sleep 1
    done
fi
