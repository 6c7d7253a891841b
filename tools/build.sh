# Sourced by tools/run and tools/test: the one way the release build is configured and made.
#
# Invariant: build output goes to build/release/build.log; the terminal sees one progress line every
# few seconds and, on failure, the end of the log. Deliberately no second configuration here:
# sanitizers have presets of their own.
set -euo pipefail

# The heaviest sources take 0.8 GB each in the compiler, so memory bounds the jobs as well as cores
# do.
build_jobs() {
  local cores memory_mb jobs
  cores=$(nproc)
  memory_mb=$(($(sed -n 's/^MemAvailable: *\([0-9]*\) kB$/\1/p' /proc/meminfo) / 1024))
  jobs=$((memory_mb / 1200))
  [ "$jobs" -lt "$cores" ] || jobs=$cores
  [ "$jobs" -ge 1 ] || jobs=1
  echo "$jobs"
}

build_failed() {
  echo "build: failed; the end of build/release/build.log:" >&2
  grep -E '(FAILED:|error:|Error )' build/release/build.log | head -n 20 >&2 || true
  tail -n 40 build/release/build.log >&2
  return 1
}

# release_build [TARGET...]: everything without targets. Returns the build's status.
release_build() {
  local log=build/release/build.log started=$SECONDS pid line shown='' next=0 target=()
  [ $# -eq 0 ] || target=(--target "$@")
  mkdir -p build/release
  echo "build: configuring" >&2
  cmake --preset release >"$log" 2>&1 || { build_failed; return 1; }
  cmake --build build/release -j "$(build_jobs)" "${target[@]}" </dev/null >>"$log" 2>&1 &
  pid=$!
  # An interrupted script must not leave a compiler behind.
  trap 'kill "$pid" 2>/dev/null || true' INT TERM
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.5
    [ "$SECONDS" -ge "$next" ] || continue
    next=$((SECONDS + 5))
    line=$(grep -oE '^\[[0-9]+/[0-9]+\]' "$log" | tail -n 1) || true
    [ -z "$line" ] || [ "$line" = "$shown" ] || echo "build: $line" >&2
    shown=$line
  done
  trap - INT TERM
  wait "$pid" || { build_failed; return 1; }
  echo "build: ready after $((SECONDS - started)) s" >&2
}
