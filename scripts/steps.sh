# shellcheck shell=sh
# Sourced: `step TITLE` starts a step and says when, `durations` says how long each took. Both count
# from $STEPS_BEGAN and write to $STEPS_FILE, which scripts share by exporting them.

step() {
  echo "$(($(date +%s) - STEPS_BEGAN)) $*" >>"$STEPS_FILE"
  printf '\n== %ss  %s\n' "$(($(date +%s) - STEPS_BEGAN))" "$*"
}

durations() {
  { cat "$STEPS_FILE"; echo "$(($(date +%s) - STEPS_BEGAN)) end"; } | awk '
    NR > 1 { printf "%6d s  %s\n", $1 - since, title }
    { since = $1; title = $0; sub(/^[0-9]+ /, "", title) }
    END { printf "%6d s  in all\n", since }'
}
