# Who this machine is: everything that belongs to one instance and must not be carried to another by an image.
# Sourced by boot.
#
# The instance id is recorded last, when all else is on the disk. A boot that was cut off in the middle finds the old
# id and does it all again; each step can be repeated.

ssh_keys=/etc/dropbear
ssh_key_types="ed25519 ecdsa"

# A key that is there survives a reboot; a new instance gets its own. What dropbearkey says of the key is kept beside
# it, for the console.
host_keys_make()
{
	for type in $ssh_key_types; do
		key=$ssh_keys/dropbear_${type}_host_key
		[ -s "$key" ] && [ -s "$key.txt" ] && continue
		rm -f "$key" "$key.tmp"
		dropbearkey -t "$type" -f "$key.tmp" 2>/dev/null | write_file "$key.txt"
		mv "$key.tmp" "$key"
	done
}

# host_keys_print: as cloud-init does it, for those who compare with what their SSH client shows.
host_keys_print()
{
	name=$(hostname)
	echo "-----BEGIN SSH HOST KEY FINGERPRINTS-----"
	for type in $ssh_key_types; do
		awk -v name="root@$name" -v type="$type" '/^Fingerprint:/ { print "256", $2, name, "(" toupper(type) ")" }' \
			"$ssh_keys/dropbear_${type}_host_key.txt"
	done
	echo "-----END SSH HOST KEY FINGERPRINTS-----"
	echo "-----BEGIN SSH HOST KEY KEYS-----"
	for type in $ssh_key_types; do
		awk -v name="root@$name" '/^(ssh|ecdsa)-/ { print $1, $2, name }' \
			"$ssh_keys/dropbear_${type}_host_key.txt"
	done
	echo "-----END SSH HOST KEY KEYS-----"
} >/dev/console

# authorized_key_replace USER HOME OLD NEW: in USER's file the launch key OLD gives way to NEW (files; either may be
# absent). Keys that people added themselves stay: they are part of the image.
authorized_key_replace()
{
	list=$2/.ssh/authorized_keys
	# Links that the user left must not lead root to other files.
	[ -L "$2/.ssh" ] && rm -f "$2/.ssh"
	mkdir -p "$2/.ssh"
	[ -L "$list" ] && rm -f "$list"
	{
		if [ -s "$list" ] && [ -s "$3" ]; then
			grep -vxFf "$3" "$list"
		elif [ -s "$list" ]; then
			cat "$list"
		fi
		[ -s "$4" ] && cat "$4"
	} | awk 'NF && !seen[$0]++' | write_file "$list" 600
	chmod 700 "$2/.ssh"
	chown "$1" "$2/.ssh" "$list"
}

launch_key_install()
{
	new=/run/launch-key
	imds_get meta-data/public-keys/0/openssh-key $new
	case $? in
	0) ;;
	1) note "launched without a key pair: no new key to log in with" ;;
	*) return 1 ;;
	esac
	chown 1000:1000 /home/ec2-user
	authorized_key_replace 0:0 /root $cloud/data/launch-key $new
	authorized_key_replace 1000:1000 /home/ec2-user $cloud/data/launch-key $new
	if [ -s $new ]; then
		write_file $cloud/data/launch-key <$new
	else
		rm -f $cloud/data/launch-key
	fi
}

hostname_install()
{
	imds_get meta-data/local-hostname /run/local-hostname
	[ $? != 2 ] || return 1
	fqdn=
	read -r fqdn </run/local-hostname 2>/dev/null
	case $fqdn in
	'' | [.-]* | *[!A-Za-z0-9.-]*)
		note "the metadata service gives no host name"
		return 0
		;;
	esac
	printf '127.0.0.1 localhost\n127.0.1.1 %s %s\n::1 localhost\n' "$fqdn" "${fqdn%%.*}" | write_file /etc/hosts
	echo "${fqdn%%.*}" | write_file /etc/hostname
	hostname -F /etc/hostname
}

# identity_become ID: this disk boots for the first time as this instance.
identity_become()
{
	mkdir -p $cloud/data "$cloud/instances/$1"
	rm -f $ssh_keys/dropbear_*
	host_keys_make
	tr -d '-' </proc/sys/kernel/random/uuid | write_file /etc/machine-id
	hostname_install || return 1
	launch_key_install || return 1
	ln -sfn "instances/$1" $cloud/instance
	sync
	echo "$1" | write_file $cloud/data/instance-id
	sync
}

# identity_update: with the metadata service open. User data is fetched here, while the token is at hand, and left in
# /run/user-data for "finish".
identity_update()
{
	id=
	imds_get meta-data/instance-id /run/instance-id
	read -r id </run/instance-id 2>/dev/null || [ -n "$id" ]
	case $id in
	'' | [.-]* | *[!A-Za-z0-9._-]*)
		note "the metadata service gives no instance id"
		identity_keep
		return
		;;
	esac
	note "instance-id $id"
	echo "$id" >/run/instance-id
	if [ "$(cat $cloud/data/instance-id 2>/dev/null)" != "$id" ]; then
		identity_become "$id" || note "the metadata service failed half-way: the next boot tries again"
	fi
	host_keys_make
	host_keys_print
	if [ ! -e "$cloud/instances/$id/user-data-done" ]; then
		imds_get user-data /run/user-data
		case $? in
		0) ;;
		1) : >/run/user-data ;;
		*) note "user data could not be read: the next boot tries again" ;;
		esac
	fi
}

# identity_keep: without a metadata service the machine stays what it was; a disk that never was anything gets keys.
identity_keep()
{
	rm -f /run/instance-id
	host_keys_make
	sync
	host_keys_print
}
