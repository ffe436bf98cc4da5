# Shared by run and long; sourced from the checkout's root.

export CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never RUST_BACKTRACE=1 LC_ALL=C.UTF-8
# Absolute, because a sysroot path in RUSTFLAGS must be.
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tools=$HOME/.cache/interbot-tools
scratch=$(mktemp -d)
# Seconds between a polite end and the forced one.
limit=(timeout -k 10)

fail() { echo "error: $*" >&2; exit 1; }

# The step whose tool is missing ends here, with the code that the runner counts as skipped.
skip() { note_skip "$@"; exit 77; }

# A part of a step is skipped; the step goes on.
note_skip() { echo "SKIP: $*"; echo "$*" >>"$scratch/skipped"; }

# install NAME VERSION [option for cargo install]...: into a folder named by version; atomic, because runs may share it.
install() {
    local name=$1 version=$2 dir=$tools/$1-$2
    shift 2
    [ ! -x "$dir/bin/$name" ] || return 0
    mkdir -p "$tools"
    # A target folder of its own: the shared one would make the steps wait for the build lock.
    env -u CARGO_TARGET_DIR -u RUSTFLAGS nice -n 5 cargo install --locked --quiet "$name" --version "$version" "$@" \
        --target-dir "$scratch/tools-target" --root "$dir.new.$$" </dev/null || { rm -rf "$dir.new.$$"; return 1; }
    mv -T "$dir.new.$$" "$dir" 2>/dev/null || rm -rf "$dir.new.$$"
    [ -x "$dir/bin/$name" ]
}

cxx() {
    command -v c++ >/dev/null || {
        [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || return 1
        { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends g++; } \
            >"$scratch/apt.log" 2>&1 && command -v c++ >/dev/null
    }
}

fuzz_version=0.13.2

# last_json FILE: the last line of a program's standard output must be JSON that reports no lost and no doubled post.
last_json() {
    python3 - "$1" <<'PY'
import json, sys
lines = [line for line in open(sys.argv[1], encoding="utf-8").read().splitlines() if line.strip()]
if not lines:
    sys.exit("error: no output")
try:
    report = json.loads(lines[-1])
    lost, duplicates = report["lost"], report["duplicates"]
except (ValueError, KeyError, TypeError) as e:
    sys.exit(f"error: the last line is no report with lost and duplicates ({e!r}): {lines[-1][:300]}")
print(json.dumps(report, sort_keys=True))
if (lost, duplicates) != (0, 0) or isinstance(lost, bool):
    sys.exit(f"error: lost {lost}, duplicates {duplicates}, expected 0 and 0")
PY
}
