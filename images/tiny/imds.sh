# Speaks IMDSv2: a token by PUT, then GETs that carry it. Sourced by boot.
# busybox wget knows no PUT, so that one request goes through nc.

imds_host=169.254.169.254
imds_token=

# imds_open: gets the token. 0 yes, 1 no answer, 2 an answer that is no token (the service is off).
imds_open()
{
	rm -f /run/imds.in
	mkfifo -m 600 /run/imds.in
	# Held open both ways, so that nc does not see the end of its input and close before the answer.
	exec 3<>/run/imds.in
	printf 'PUT /latest/api/token HTTP/1.0\r\nHost: %s\r\nX-aws-ec2-metadata-token-ttl-seconds: 21600\r\n' \
		$imds_host >&3
	printf 'Content-Length: 0\r\nConnection: close\r\n\r\n' >&3
	imds_reply=$(timeout 5 nc -w 2 $imds_host 80 </run/imds.in 2>/dev/null | tr -d '\r')
	exec 3>&-
	rm -f /run/imds.in
	case $imds_reply in
	HTTP/1.?\ 200*) ;;
	HTTP/1.?\ 5*) return 1 ;;
	HTTP/*) return 2 ;;
	*) return 1 ;;
	esac
	imds_token=$(printf '%s\n' "$imds_reply" | sed '1,/^$/d')
	[ -n "$imds_token" ]
}

# imds_wait SECONDS: imds_open until it answers or the time is over.
imds_wait()
{
	imds_deadline=$(($(cut -d. -f1 /proc/uptime) + $1))
	while :; do
		imds_open
		imds_status=$?
		[ $imds_status = 1 ] || return $imds_status
		[ "$(cut -d. -f1 /proc/uptime)" -lt $imds_deadline ] || return 1
		usleep 500000
	done
}

# imds_get PATH FILE: 0 fetched, 1 there is no such thing, 2 the service failed. FILE is there only after 0.
imds_get()
{
	for imds_try in 1 2 3 4 5; do
		imds_error=$(umask 077 && timeout 20 wget -q -O "$2" \
			--header "X-aws-ec2-metadata-token: $imds_token" "http://$imds_host/latest/$1" 2>&1) && return 0
		rm -f "$2"
		case $imds_error in
		*' 404 '*) return 1 ;;
		esac
		[ $imds_try = 5 ] || usleep 500000
	done
	return 2
}
