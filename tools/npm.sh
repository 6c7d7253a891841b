# Sourced by tools/test, tools/report and tools/test-report: the one way npm packages are installed.
#
# Invariant: from a lock file that holds hashes and no addresses, without running packages' scripts;
# nothing happens when what is installed is newer than the lock file.
set -euo pipefail

# install_packages FOLDER: into FOLDER/node_modules. The output is in build/npm.log.
install_packages() {
  local folder=$1 installed=$1/node_modules/.package-lock.json
  [ ! -f "$installed" ] || [ "$folder/package-lock.json" -nt "$installed" ] || return 0
  echo "npm: installing the packages of $folder" >&2
  # Node's own certificate list does not hold what the administrator added to the machine's.
  if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -r /etc/ssl/certs/ca-certificates.crt ]; then
    export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
  fi
  mkdir -p build
  if ! npm ci --prefix "$folder" --no-audit --no-fund --ignore-scripts \
    </dev/null >build/npm.log 2>&1; then
    tail -n 15 build/npm.log >&2
    echo "npm: the packages of $folder could not be installed (log: build/npm.log)" >&2
    return 1
  fi
  touch "$installed"
}
