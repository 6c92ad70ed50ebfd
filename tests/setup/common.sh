# Shared by the set-up scripts; sourced, never run. Needs bash.
#
# Everything that is built or installed for the tests lives below one cache
# directory outside the checkout, because CI starts every run from a fresh
# clone. Each product has a directory named after a hash of what it is made of:
# a change builds a new one beside the old, and two checkouts can share it.

cache_dir() {
    printf '%s\n' "${SGWARDEN_CACHE:-${HOME:?neither SGWARDEN_CACHE nor HOME is set}/.cache/sgwarden}"
}

# Progress goes to stderr, so that a script's stdout is only its result.
say() {
    printf 'set-up: %s\n' "$*" >&2
}

die() {
    say "$*"
    exit 1
}

need() { # need COMMAND WHY
    command -v "$1" >/dev/null 2>&1 || die "'$1' is not installed, and $2"
}

# A short key of everything on stdin.
key_of_stdin() {
    if command -v sha256sum >/dev/null 2>&1; then sha256sum; else shasum -a 256; fi | cut -c1-16
}

# Makes the rest of the script run alone among scripts with the same lock name.
# The lock goes with the process that holds it, so a killed run leaves none.
# Where flock is missing (macOS) two runs at once both build; the product is
# moved into place whole, so that costs time and nothing else.
lock() { # lock NAME
    local file
    file="$(cache_dir)/locks/$1"
    mkdir -p "$(dirname "$file")"
    command -v flock >/dev/null 2>&1 || return 0
    exec 9>"$file"
    if ! flock -n 9; then
        say "another run is already building $1; waiting for it"
        flock 9
    fi
}

# Makes a directory beside DESTINATION to build in, and prints its path. What a
# killed run left goes, where the lock proves that nobody works in it.
unfinished_beside() { # unfinished_beside DESTINATION
    if command -v flock >/dev/null 2>&1; then
        rm -rf "$1".unfinished.*
    fi
    mkdir -p "$1.unfinished.$$"
    printf '%s\n' "$1.unfinished.$$"
}

# Moves a finished directory to its place, unless somebody was faster.
publish() { # publish FINISHED DESTINATION
    if [ -e "$2" ]; then
        rm -rf "$1"
    else
        mv "$1" "$2"
    fi
}

elapsed() { # elapsed SINCE (a value of $SECONDS)
    printf '%dm%02ds' $(((SECONDS - $1) / 60)) $(((SECONDS - $1) % 60))
}

# The work of python.sh and moto.sh: a Python environment from a file of pins.
# Makes it if it is missing and prints its bin directory; with --where it only
# prints that, and exits 3 if the environment is not made.
python_environment() { # python_environment REQUIREMENTS WHAT WHY IMPORTS [--where]
    local requirements=$1 what=$2 why=$3 imports=$4 key home started
    if [ "${5:-}" != --where ]; then
        need python3 "$why"
    elif ! command -v python3 >/dev/null 2>&1; then
        exit 3
    fi
    key="$({ cat "$requirements"; python3 --version; } | key_of_stdin)"
    home="$(cache_dir)/python/$key"

    if [ "${5:-}" = --where ]; then
        printf '%s\n' "$home/bin"
        [ -e "$home/.finished" ] || exit 3
        return
    fi

    lock python
    if [ -e "$home/.finished" ]; then
        say "Python environment with $what: already made"
    else
        started=$SECONDS
        say "Python environment: installing $what (about 1 minute) ..."
        # An environment knows its own path, so it cannot be made elsewhere and
        # moved here. The file .finished says instead whether it is whole.
        rm -rf "$home"
        mkdir -p "$(dirname "$home")"
        python3 -m venv "$home" ||
            die "'python3 -m venv' failed; on Debian and Ubuntu it needs the package python3-venv"
        "$home/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
            --requirement "$requirements" >&2
        "$home/bin/python" -c "import $imports"
        touch "$home/.finished"
        say "Python environment: done in $(elapsed "$started")"
    fi
    printf '%s\n' "$home/bin"
}
