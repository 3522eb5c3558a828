/* Makes listening sockets from addresses that people write. No state. */
#include "aws/http.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "base/banned.h"

/* "HOST:PORT" or "[HOST]:PORT" into its two parts, which share `text`. */
static int split_address(char *text, char **host, char **port)
{
	char *colon = strrchr(text, ':');
	if (!colon || colon == text || !colon[1])
		return -1;
	*colon = '\0';
	*port = colon + 1;
	*host = text;
	if (text[0] == '[') {
		if (colon[-1] != ']')
			return -1;
		colon[-1] = '\0';
		*host = text + 1;
	}
	return 0;
}

static int bind_and_listen(const struct addrinfo *info)
{
	int fd FILE_SCOPED = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
		bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0)
		return -1;
	int made = fd;
	fd = -1;
	return made;
}

static int format_bound(int fd, char *bound)
{
	struct sockaddr_storage address = { 0 };
	socklen_t size = sizeof address;
	char host[INET6_ADDRSTRLEN], port[sizeof "65535"];
	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 ||
		getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return -1;
	snprintf(bound, HTTP_ADDRESS_SIZE, address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	return 0;
}

int http_listen(const char *address, int *fd, char *bound, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	char *host, *port;
	int64_t number;
	if (split_address(arena_strdup(scratch, address), &host, &port) < 0 ||
		text_parse_int64(port, &number) < 0 || number < 0 || number > UINT16_MAX)
		return error_set(err, ERROR_INVALID, "'%s' is not an address of the form HOST:PORT", address);
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *list;
	int failed = getaddrinfo(host, port, &hints, &list);
	if (failed)
		return error_set(
			err, ERROR_INVALID, "'%s' cannot be listened on: %s", address, gai_strerror(failed));
	int made = -1, why = 0;
	for (struct addrinfo *info = list; info && made < 0; info = info->ai_next) {
		made = bind_and_listen(info);
		why = errno;
	}
	freeaddrinfo(list);
	if (made < 0)
		return error_set_errno(err, why, "listen on %s", address);
	if (bound && format_bound(made, bound) < 0) {
		close(made);
		return error_set(err, ERROR_INTERNAL, "the address listened on cannot be told");
	}
	*fd = made;
	return 0;
}
