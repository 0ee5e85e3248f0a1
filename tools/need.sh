# Sourced by scripts that install what is missing: `need PURPOSE PACKAGE...`.
# shellcheck shell=bash
#
# Packages are apt's, by name, from whatever sources this machine has. Each is
# printed before it is installed; what is there costs one dpkg-query. Callers
# set `log_folder` (a folder for the output of apt) and have errexit on.

as_root() {
    if ((EUID == 0)); then
        "$@"
    elif ! type -P sudo >/dev/null; then
        printf 'needs root, or sudo: %s\n' "$*" >&2
        return 1
    elif [[ -t 0 ]]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# logged NAME COMMAND...: output to a log, its end shown if the command fails.
logged() {
    local log=${log_folder:?}/$1
    shift
    mkdir -p "$log_folder"
    if ! "$@" >"$log" 2>&1 </dev/null; then
        tail -n 30 "$log" >&2
        printf 'failed: %s (all of its output: %s)\n' "$*" "$log" >&2
        return 1
    fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q \
        -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 "$@"
}

apt_install() {
    logged apt-install.log apt_get install -y --no-install-recommends "$@"
}

apt_update() {
    printf 'apt-get update\n'
    logged apt-update.log apt_get update
}

has_candidate() {
    local policy
    policy=$(apt-cache policy "$1")
    [[ $policy == *$'\n  Candidate: '[^\(]* ]]
}

# An index that is missing or too old is fetched anew, once.
need() {
    local purpose=$1 package installed missing=() updated=''
    shift
    if ! type -P dpkg-query apt-get >/dev/null; then
        printf 'no apt here: make sure that there are, for %s: %s\n' \
            "$purpose" "$*" >&2
        return 0
    fi
    # shellcheck disable=SC2016  # dpkg-query's own ${FIELD} notation
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Abbrev}\n' "$@" \
        2>/dev/null || true)
    for package in "$@"; do
        [[ $'\n'$installed == *$'\n'"$package ii"* ]] || missing+=("$package")
    done
    if ((${#missing[@]} == 0)); then
        return 0
    fi
    if ! has_candidate "${missing[0]}"; then
        apt_update || return 1
        updated=1
    fi
    printf 'apt-get install, for %s: %s\n' "$purpose" "${missing[*]}"
    if ! apt_install "${missing[@]}"; then
        [[ -z $updated ]] && apt_update && apt_install "${missing[@]}"
    fi
}
