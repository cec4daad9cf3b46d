# Recovers the data directory $data to its target; see recovery.py for what is set before.
echo "copied=$(date +%s.%N)" >>"$account"
rm -rf "$work"
install -d -o postgres -g postgres -m 0700 "$work"
echo 'local all postgres peer' >"$work/hba"
: >"$work/ident"
: >"$work/conf"
chmod 644 "$work/hba" "$work/ident" "$work/conf"
[ -e "$conf" ] || conf=$work/conf

# Prepared transactions are restored with the data and need max_prepared_transactions: as many as
# when the backup was taken, or as configured now.
prepared=64
control() { LC_ALL=C "$bin/pg_controldata" -D "$data" | sed -n "s/^$1: *//p"; }
then=$(control 'max_prepared_xacts setting')
now=$(postgres "$bin/postgres" -D "$data" -c config_file="$conf" -C max_prepared_transactions \
  2>/dev/null) || now=0
for n in $then $now; do
  [ "$n" -le $prepared ] || prepared=$n
done

# Ends when the server accepts connections, which is after its promotion, or has exited.
run() {
  postgres touch "$data/recovery.signal"
  server "$@" -c config_file="$conf" -c max_prepared_transactions=$prepared >"$work/log" 2>&1 &
  pid=$!
  up=
  while kill -0 $pid 2>/dev/null; do
    case $(sed -n 8p "$data/postmaster.pid" 2>/dev/null) in
    ready*)
      up=1
      break
      ;;
    esac
    sleep 0.05
  done
}
last_lines() {
  routine='starting up|LOG:  (connection|disconnection|checkpoint|received|aborting|shutting|database)'
  grep -vE "$routine" "$work/log" | tail -n 12 >&2
}

# Fails with the reason where segment $1 is not the last one: a gap is not the end of the WAL.
at_the_end() {
  first=$(printf '%s\n' "$1" "$until" | LC_ALL=C sort | head -n 1)
  [ "$first" != "$until" ] || return 0
  echo "the WAL in the archive goes on to segment $until, and could be read up to $1:" \
    "the next one is missing or damaged" >&2
  last_lines
  return 1
}
# The segment in which the last record began.
replayed() {
  lsn=$(sed -n 's/.*LOG:  redo done at \([0-9A-F]*\/[0-9A-F]*\) .*/\1/p' "$work/log" | tail -n 1)
  size=$(control 'Bytes per WAL segment')
  [ -z "$lsn" ] || printf '%08X%08X' "$((0x${lsn%/*}))" "$((0x${lsn#*/} / size))"
}

run
ended='recovery ended before configured recovery target was reached'
if [ -z "$up" ] && [ "$kind" = time ] && grep -q "$ended" "$work/log"; then
  run -c recovery_target_time= # in the archive nothing was committed after the target
  [ -z "$up" ] || echo "beyond=yes" >>"$account"
fi
if [ -z "$up" ]; then
  segment=$(replayed)
  [ -z "$segment" ] || ! grep -q "$ended" "$work/log" || at_the_end "$segment"
  misses="$ended|requested recovery stop point is before consistent recovery point"
  missed=$(grep -Eom 1 "$misses" "$work/log") && echo "missed=$missed" >>"$account"
  last_lines
  exit 1
fi

row=$(postgres "$bin/psql" -XAtq -h "$work" -p "$port" -d postgres -c "$query")
postgres "$bin/pg_ctl" -D "$data" -s -w -t 86400 -m fast stop
wait $pid || true
IFS='|' read -r lsn segment timeline last_transaction <<ROW
$row
ROW
{
  echo "lsn=$lsn"
  echo "timeline=$timeline"
  echo "last_transaction=$last_transaction"
} >>"$account"

# Where recovery stopped at the end of the WAL that it found, that has to be the last segment.
case $kind in
end | time) grep -q 'recovery stopping' "$work/log" || at_the_end "$segment" ;;
esac

if [ -n "$archiving" ]; then # the server that starts with these data sends it
  history=$(printf '%08X.history' "$timeline")
  [ ! -e "$data/pg_wal/$history" ] || postgres touch "$data/pg_wal/archive_status/$history.ready"
else # settings of ALTER SYSTEM for the original's role in its cluster are not for the copy
  settings='^ *(archive_|primary_|recovery_|restore_command|synchronous_standby_names|cluster_name)'
  postgres sed -E -i "/$settings/d" "$data/postgresql.auto.conf"
fi
rm -rf "$work"
echo "ended=$(date +%s.%N)" >>"$account"
sync "$account"
