/* Unix sockets by path. No state; safe from every thread. */
#include "compute/sockets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/banned.h"

static int make_socket(const char *path, struct sockaddr_un *address, int *fd, struct error *err)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof address->sun_path)
		return error_set(err, ERROR_INVALID, "the socket path %s is longer than %zu bytes", path,
			sizeof address->sun_path - 1);
	memcpy(address->sun_path, path, strlen(path));
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return *fd < 0 ? error_set_errno(err, errno, "cannot make a socket") : 0;
}

int socket_connect(const char *path, int *fd, struct error *err)
{
	struct sockaddr_un address;
	if (make_socket(path, &address, fd, err))
		return -1;
	if (connect(*fd, (struct sockaddr *)&address, sizeof address) == 0)
		return 0;
	/* ECONNREFUSED: the socket of a process that is gone. EAGAIN: it has a client and others wait already. */
	if (errno == EAGAIN)
		error_set(err, ERROR_UNAVAILABLE, "%s is taken by another client", path);
	else
		error_set_errno(err, errno == ECONNREFUSED ? ENOENT : errno, "cannot connect to %s", path);
	close(*fd);
	return -1;
}

int socket_listen(const char *path, int *fd, struct error *err)
{
	struct sockaddr_un address;
	if (make_socket(path, &address, fd, err))
		return -1;
	/* Linux gives the name the mode of the socket at bind */
	if ((unlink(path) == 0 || errno == ENOENT) && fchmod(*fd, 0600) == 0 &&
		bind(*fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(*fd, 4) == 0)
		return 0;
	error_set_errno(err, errno, "cannot listen at %s", path);
	close(*fd);
	return -1;
}
