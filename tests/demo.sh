#!/bin/bash
# demo.sh BUILD: the whole story of an image with the stock aws CLI, each command printed before it runs. Everything lies in a scratch folder that is removed at the end.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"
build=$(realpath "$1")
scratch=$(mktemp -d /tmp/amid-demo.XXXXXX)
data=$scratch/data
server=
say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
show() { printf '\033[36m$ %s\033[0m\n' "$*" >&2; "$@"; }
now() { date +%s.%N; }
since() { printf '%.1f' "$(echo "$(now) - $1" | bc)"; }

declare -a table=()
note() { table+=("$(printf '%-58s %8s  %s' "$1" "$2" "${3:-}")"); }

end() {
	status=$?
	if [ -n "$server" ]; then
		# whatever runs still is ended by amid itself: nothing of the demo stays behind
		if [ -n "${AWS_ENDPOINT_URL:-}" ]; then
			ids=$(aws ec2 describe-instances --query 'Reservations[].Instances[?State.Name!=`terminated`].InstanceId' --output text 2>/dev/null || true)
			# shellcheck disable=SC2086 # a list of words
			[ -z "$ids" ] || { aws ec2 terminate-instances --skip-os-shutdown --instance-ids $ids >/dev/null 2>&1 || aws ec2 terminate-instances --instance-ids $ids >/dev/null 2>&1 || true; wait_for_none_running 30 || true; }
		fi
		kill -TERM "$server" 2>/dev/null && wait "$server" 2>/dev/null || true
	fi
	[ "$status" = 0 ] || { echo "the demo failed; the end of amid's log:" >&2; tail -n 20 "$scratch/log" >&2 2>/dev/null || true; }
	rm -rf "$scratch"
	exit "$status"
}
trap end EXIT

aws() { command /usr/bin/aws --endpoint-url "$AWS_ENDPOINT_URL" --no-cli-pager "$@"; }
instance_states() { aws ec2 describe-instances --query 'Reservations[].Instances[].State.Name' --output text; }
wait_for_none_running() {
	local end=$((SECONDS + $1))
	while instance_states | grep -qvE '^(terminated[[:space:]]*)*$'; do [ $SECONDS -lt $end ] || return 1; sleep 0.3; done
}
# wait_for SECONDS WHAT COMMAND...: until the command prints something that has WHAT in it
wait_for() {
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" 2>/dev/null | grep -q -- "$what"; do
		[ $SECONDS -lt $end ] || { echo "waited in vain for \"$what\" from: $*" >&2; return 1; }
		sleep 0.3
	done
}
image_state() { aws ec2 describe-images --image-ids "$1" --query 'Images[0].State' --output text; }
console() { aws ec2 get-console-output --latest --instance-id "$1" --query Output --output text; }
public_address() { aws ec2 describe-instances --instance-ids "$1" --query 'Reservations[0].Instances[0].PublicIpAddress' --output text; }
guest() { ssh -i "$scratch/demo.pem" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=10 "root@$1" "${@:2}"; }
store_bytes() { "$build/amid" status --field store_bytes; }

say "Start amid in a scratch folder"
printf '\033[36m$ amid serve --data %s --listen 127.0.0.1:0\033[0m\n' "$data"
mkfifo "$scratch/out"
"$build/amid" serve --data "$data" --listen 127.0.0.1:0 >"$scratch/out" 2>"$scratch/log" &
server=$!
exec 3<"$scratch/out"
read -r _ AWS_ENDPOINT_URL <&3
read -r line <&3 && echo "endpoint $AWS_ENDPOINT_URL; $line"
export AWS_ENDPOINT_URL AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 AWS_SHARED_CREDENTIALS_FILE=$data/root-credentials
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE

say "Build and register the tiny Quick Start image"
# packages that an earlier demo fetched are used again
mkdir -p "$data/quickstart" "$build/cache/packages"
cp -al "$build/cache/packages/." "$data/quickstart/" 2>/dev/null || true
begun=$(now)
printf '\033[36m$ amid quickstart tiny --data %s\033[0m\n' "$data"
"$build/amid" quickstart tiny --data "$data" >"$scratch/quickstart.id" 2>"$scratch/quickstart.log" || { cat "$scratch/quickstart.log" >&2; exit 1; }
cp -al "$data/quickstart/"*.deb "$build/cache/packages/" 2>/dev/null || true
tiny=$(tail -n 1 "$scratch/quickstart.id")
note "Quick Start image $tiny built and registered" "$(since "$begun") s" "$(numfmt --to=iec "$(store_bytes)")B stored"
show aws ec2 describe-images --owners amazon --query 'Images[].[ImageId,Name,ImageOwnerAlias,State]' --output table

say "A key pair, SSH allowed, an instance with user data"
show aws ec2 create-key-pair --key-name demo --key-type ed25519 --query KeyMaterial --output text >"$scratch/demo.pem"
chmod 600 "$scratch/demo.pem"
show aws ec2 authorize-security-group-ingress --group-name default --protocol tcp --port 22 --cidr 0.0.0.0/0 --query Return
printf '#!/bin/sh\necho "baked by user data on $(hostname)" >/root/baked\necho "user data has written /root/baked"\n' >"$scratch/user-data.sh"
begun=$(now)
first=$(show aws ec2 run-instances --image-id "$tiny" --instance-type t3.nano --key-name demo --user-data "file://$scratch/user-data.sh" --query 'Instances[0].InstanceId' --output text)
wait_for 120 'amid: ready' console "$first"
note "instance $first: from the call to ready" "$(since "$begun") s" "$(grep -o "event=instance-running instance=$first.* ms=[0-9]*" "$scratch/log" | grep -o '[0-9]*$' | head -1) ms to QEMU running"
show aws ec2 get-console-output --latest --instance-id "$first" --query Output --output text | tail -n 4
address=$(public_address "$first")
printf '\033[36m$ ssh root@%s cat /root/baked\033[0m\n' "$address"
guest "$address" cat /root/baked

say "An image of it (the guest shuts down, its disk is frozen, it starts again)"
before=$(store_bytes)
begun=$(now)
baked=$(show aws ec2 create-image --instance-id "$first" --name baked --description "has /root/baked" --query ImageId --output text)
wait_for 120 available image_state "$baked"
note "image $baked: from the call to available" "$(since "$begun") s" "$(numfmt --to=iec $(($(store_bytes) - before)))B added"
show aws ec2 describe-images --image-ids "$baked" --query 'Images[0].[ImageId,State,BlockDeviceMappings[0].Ebs.SnapshotId]' --output text

say "Two instances from the new image"
begun=$(now)
read -r second third <<<"$(show aws ec2 run-instances --image-id "$baked" --count 2 --instance-type t3.nano --key-name demo --query 'Instances[].InstanceId' --output text)"
wait_for 180 'amid: ready' console "$second"
wait_for 180 'amid: ready' console "$third"
note "two instances of it: from the call to both ready" "$(since "$begun") s" "$(du -s --block-size=1K --total "$data/regions/us-east-1/volumes" | tail -1 | cut -f1) KiB of volumes in all"
for instance in "$second" "$third"; do
	address=$(public_address "$instance")
	printf '\033[36m$ ssh root@%s cat /root/baked    # %s\033[0m\n' "$address" "$instance"
	guest "$address" cat /root/baked
done

say "Change 64 MiB on one disk, and make a second image, without a reboot"
address=$(public_address "$second")
printf '\033[36m$ ssh root@%s dd if=/dev/urandom of=/root/changed bs=1M count=64; sync\033[0m\n' "$address"
guest "$address" 'dd if=/dev/urandom of=/root/changed bs=1M count=64 2>/dev/null; sync; ls -l /root/changed'
before=$(store_bytes)
begun=$(now)
again=$(show aws ec2 create-image --instance-id "$second" --name baked-again --no-reboot --query ImageId --output text)
wait_for 60 available image_state "$again"
added=$(($(store_bytes) - before))
note "second image $again: from the call to available" "$(since "$begun") s" "$(numfmt --to=iec $added)B added for 64 MiB changed ($(echo "scale=2; $added / 67108864" | bc) times)"

say "Another account: an encrypted copy of the image is shared with it, but not the key"
begun=$(now)
acme=$("$build/amid" account create acme --data "$data" --output "$scratch/acme")
key=$(show aws kms create-key --query KeyMetadata.Arn --output text)
sealed=$(show aws ec2 copy-image --source-region us-east-1 --source-image-id "$baked" --name sealed --encrypted --kms-key-id "$key" --query ImageId --output text)
wait_for 120 available image_state "$sealed"
note "encrypted copy $sealed for another account" "$(since "$begun") s"
show aws ec2 modify-image-attribute --image-id "$sealed" --launch-permission "Add=[{UserId=$acme}]"
explain() { printf '\033[36m$ amid explain launch --image %s --as arn:aws:iam::%s:root\033[0m\n' "$sealed" "$acme"; "$build/amid" explain launch --image "$sealed" --as "arn:aws:iam::$acme:root"; }
if explain; then echo "it should not be launched without its key" >&2; exit 1; fi
show aws kms create-grant --key-id "$key" --grantee-principal "arn:aws:iam::$acme:root" --operations DescribeKey CreateGrant Decrypt GenerateDataKeyWithoutPlaintext ReEncryptFrom --query GrantId
explain | tail -n 1

say "Terminate, deregister: the space is given back"
held=$(store_bytes)
begun=$(now)
show aws ec2 terminate-instances --instance-ids "$first" "$second" "$third" --query 'TerminatingInstances[].[InstanceId,CurrentState.Name]' --output text
wait_for_none_running 60
for image in "$baked" "$again" "$sealed"; do
	snapshot=$(aws ec2 describe-images --image-ids "$image" --query 'Images[0].BlockDeviceMappings[0].Ebs.SnapshotId' --output text)
	show aws ec2 deregister-image --image-id "$image"
	show aws ec2 delete-snapshot --snapshot-id "$snapshot"
done
end_of_wait=$((SECONDS + 30))
until [ "$(aws ec2 describe-volumes --query 'length(Volumes)')" = 0 ] && [ "$(store_bytes)" -lt $((held / 2)) ]; do
	[ $SECONDS -lt $end_of_wait ] || { echo "the space was not given back" >&2; exit 1; }
	sleep 0.3
done
note "all deleted" "$(since "$begun") s" "$(numfmt --to=iec $((held - $(store_bytes))))B given back; what is left is the Quick Start image"

say "amid is stopped and its data checked"
kill -TERM "$server"
wait "$server" || true
server=
printf '\033[36m$ amid fsck --data %s\033[0m\n' "$data"
"$build/amid" fsck --data "$data"

printf '\n%-58s %8s  %s\n' "what happened" seconds bytes
printf -- '-%.0s' {1..110}
echo
printf '%s\n' "${table[@]}"
printf 'in all %d s\n' $SECONDS
