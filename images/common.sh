# shellcheck shell=bash
# What the image builders share: messages, the scratch folder, and packages from apt's own sources.
# Sourced, never run. A builder that sources this has PATH set and one scratch folder, $SCRATCH,
# which is removed when it ends, however it ends.

export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
umask 022

say()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die()
{
	say "error: $*"
	exit 1
}

need()
{
	local tool
	for tool in "$@"; do
		command -v "$tool" >/dev/null || die "'$tool' is not installed (see README.md for the packages)"
	done
}

# Takes the arguments "OUT CACHE_DIR": sets OUT, CACHE (absolute) and SCRATCH, and makes the cache folder.
builder_start()
{
	[ $# = 2 ] || { printf 'usage: %s OUT.raw CACHE_DIR\n' "${0##*/}" >&2; exit 2; }
	[ "$(dpkg --print-architecture)" = amd64 ] || die "only amd64 images are built, and only on amd64"
	mkdir -p "$2" || die "cannot make the cache folder $2"
	[ -d "$(dirname "$1")" ] || die "no folder $(dirname "$1") to put ${1##*/} in"
	OUT=$(realpath -s "$1")
	CACHE=$(realpath "$2")
	SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/amid-image.XXXXXX")
	trap builder_end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

builder_end()
{
	if [ -n "${CONTAINED:-}" ]; then
		kill -KILL "$CONTAINED" 2>/dev/null || true
		wait "$CONTAINED" 2>/dev/null || true
	fi
	rm -rf --one-file-system "$SCRATCH"
	rm -f "$OUT.tmp"
}

# contained COMMAND...: in mount and pid namespaces of its own, which end with it: no mount and no process is left, also
# when the builder is told to stop meanwhile (waiting in the background, so that the signal is taken at once).
contained()
{
	local status=0
	unshare --mount --pid --fork --kill-child "$@" </dev/null &
	CONTAINED=$!
	wait "$CONTAINED" || status=$?
	CONTAINED=
	return $status
}

# package_index PACKAGE...: a line "FILE ALGORITHM:HASH PACKAGE" for the candidate version of each, as apt's
# signed lists have it. Run in an empty folder, for apt is silent about files that are there already.
package_index()
{
	local lines
	mkdir -p "$SCRATCH/empty"
	lines=$(cd "$SCRATCH/empty" && apt-get -qq download --print-uris "$@") ||
		die "apt does not know all packages: run 'apt-get update' first"
	# 'URI' FILE SIZE ALGORITHM:HASH, where FILE is PACKAGE_VERSION_ARCHITECTURE.deb
	awk '{ package = $2; sub(/_.*/, "", package); print $2, $4, package }' <<<"$lines"
}

# hash_matches FILE ALGORITHM:HASH
hash_matches()
{
	local sum
	case $2 in
	SHA512:*) sum=$(sha512sum <"$1") ;;
	SHA256:*) sum=$(sha256sum <"$1") ;;
	*) return 1 ;;
	esac
	[ "${sum%% *}" = "${2#*:}" ]
}

# packages_fetch PACKAGE...: brings the current version of each into the cache and prints the paths. A cached file
# is used only if it has the hash that apt's lists give; a download is checked by apt itself.
packages_fetch()
{
	local file hash package missing=()
	package_index "$@" >"$SCRATCH/packages"
	[ "$(wc -l <"$SCRATCH/packages")" = $# ] || die "apt does not offer all of: $*"
	while read -r file hash package; do
		[ -f "$CACHE/$file" ] && hash_matches "$CACHE/$file" "$hash" || missing+=("$package")
	done <"$SCRATCH/packages"
	if [ ${#missing[@]} != 0 ]; then
		say "downloading ${#missing[@]} packages"
		mkdir -p "$SCRATCH/download"
		(cd "$SCRATCH/download" && apt-get -qq -o APT::Sandbox::User=root download "${missing[@]}") >&2 ||
			die "could not download: ${missing[*]} (network? if a file is gone from the mirror: apt-get update)"
		mv -f "$SCRATCH/download"/*.deb "$CACHE/"
	fi
	while read -r file hash package; do
		[ -f "$CACHE/$file" ] || die "apt left no file $file for the package '$package'"
		printf '%s\n' "$CACHE/$file"
	done <"$SCRATCH/packages"
}

# disk_publish: the finished $OUT.tmp becomes $OUT, durably, in one step.
disk_publish()
{
	sync "$OUT.tmp"
	mv -f "$OUT.tmp" "$OUT"
	sync "$(dirname "$OUT")"
	say "$OUT: $(($(stat -c %s "$OUT") >> 20)) MiB, of which $(($(stat -c '%b * %B' "$OUT") >> 20)) MiB hold data"
}
