# What the boot scripts share. State of an instance is kept where cloud-init would keep it:
# /var/lib/cloud/data/instance-id and /var/lib/cloud/instances/<id>/.

PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
cloud=/var/lib/cloud

note() { echo "amid: $*" >/dev/console; }

# write_file FILE [MODE]: standard input becomes FILE, whole or not at all; the caller says when to sync.
write_file()
{
	rm -f "$1.tmp"
	(umask 077 && cat >"$1.tmp") && chmod "${2:-644}" "$1.tmp" && mv "$1.tmp" "$1"
}
