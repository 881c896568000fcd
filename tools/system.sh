#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A whole system on this machine, for tools/run and tools/up, which read this file: a server with SQLite and an agent,
# both of the build in $BUILD (build/), with all they have in one folder, reached from this machine only.
#
#   system_begin FOLDER    starts both; what is in the folder is taken up. Sets $password at the first start, else ''
#   holdfast ARGUMENT...   the command line, with a login of its own below FOLDER
#   step ARGUMENT...       shows such a command, runs it, keeps its duration in $seconds; warnings are no failure. Its
#                          output goes through $filter where that is set
#   system_end             ends both; runs at the exit of the script, too

# Those who read this file use what it sets.
# shellcheck disable=SC2034
bin="${BUILD:-$PWD/build}/src/bin"
run="${RUN:-$PWD/run}"
server_pid=''
agent_pid=''
enroll_pid=''

fail() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

holdfast() {
  XDG_CONFIG_HOME="$home/config" HOLDFAST_REPOSITORY='' "$bin/holdfast" "$@"
}

step() {
  local start status=0
  printf '\n$ holdfast %s\n' "$*"
  start=$(date +%s%N)
  if [ -n "${filter:-}" ]; then
    holdfast "$@" | "$filter" || status=$?
  else
    holdfast "$@" || status=$?
  fi
  seconds=$(awk -v ns="$(($(date +%s%N) - start))" 'BEGIN { printf "%.1f", ns / 1e9 }')
  [ "$status" -eq 0 ] || [ "$status" -eq 3 ] || fail "'holdfast $1' failed with exit code $status"
}

# The ports that the programs have by default, or, where one of them is taken, three that are free.
choose_ports() {
  python3 -B - "$@" <<'END'
import socket
import sys


def take(wanted):
    held = []
    for port in wanted:
        held.append(socket.socket())
        held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held[-1].bind(('127.0.0.1', port))
    return ' '.join(str(taken.getsockname()[1]) for taken in held)


try:
    print(take(int(port) for port in sys.argv[1:]))
except OSError:
    print(take([0, 0, 0]))
END
}

# Roles of the agent that have the network give up root's rights: they become the user that this tree belongs to.
write_configuration() {
  local ports user
  user=$(id -un)
  [ "$(id -u)" -ne 0 ] || user=$(stat -c %U .)
  read -r -a ports <<< "$(choose_ports 9419 6160 6162)"
  cat > "$home/server.conf" <<END
[server]
name=localhost
address=127.0.0.1
port=${ports[0]}
agent-program=$bin/holdfast-agent
END
  cat > "$home/agent.conf" <<END
[agent]
address=127.0.0.1
user=$user
[ports]
installer=${ports[1]}
transport=${ports[2]}
END
  mkdir -p "$home/repositories"
  chown "$user" "$home/repositories"
}

setting() {
  sed -n "s/^$2=//p" "$home/$1.conf"
}

start_agent() {
  "$bin/holdfast-agent" run "${agent_places[@]}" >> "$home/agent.log" 2>&1 &
  agent_pid=$!
}

# Waits until file $1 has a line with $2, which process $3 writes.
wait_for_line() {
  local tries=0
  until grep -q "$2" "$1" 2>/dev/null; do
    kill -0 "$3" 2>/dev/null || { cat "$1" >&2; fail "'$1' has what it said last"; }
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || fail "nothing came in a minute; see '$1'"
    sleep 0.1
  done
}

system_begin() {
  home="$1"
  [ -x "$bin/holdfast-server" ] || fail "there is no '$bin/holdfast-server'; build it by 'make'"
  mkdir -p "$home/config"
  chmod 755 "$home"
  chmod 700 "$home/config"
  [ -e "$home/server.conf" ] || write_configuration
  server_places=(--config "$home/server.conf" --state "$home/server")
  agent_places=(--config "$home/agent.conf" --state "$home/agent" --runtime "$home/agent-run")
  address="localhost:$(setting server port)"
  host="127.0.0.1:$(setting agent installer)"
  trap system_end EXIT
  trap 'exit 130' INT TERM
  install -m 600 /dev/null "$home/started"
  "$bin/holdfast-server" run --json "${server_places[@]}" > "$home/started" 2>> "$home/server.log" &
  server_pid=$!
  wait_for_line "$home/started" '"port"' "$server_pid"
  fingerprint=$(sed -n 's/.*"fingerprint":"\([^"]*\)".*/\1/p' "$home/started")
  password=$(sed -n 's/.*"password":"\([^"]*\)".*/\1/p' "$home/started")
  rm "$home/started"
  start_agent
}

# Logs in with $password, and takes this host in by a token.
system_enroll() {
  "$bin/holdfast-agent" enroll --json "${agent_places[@]}" > "$home/enrolled" 2>> "$home/agent.log" &
  enroll_pid=$!
  wait_for_line "$home/enrolled" '"token"' "$enroll_pid"
  sed -n 's/.*"token":"\([^"]*\)".*/\1/p' "$home/enrolled" > "$home/token"
  step host add "$host" --token-file "$home/token"
  wait "$enroll_pid"
  enroll_pid=''
  rm -f "$home/token" "$home/enrolled"
}

system_end() {
  local pid
  trap - EXIT
  for pid in $enroll_pid $agent_pid $server_pid; do
    kill "$pid" 2>/dev/null || true
  done
  for pid in $enroll_pid $agent_pid $server_pid; do
    wait "$pid" 2>/dev/null || true
  done
}
