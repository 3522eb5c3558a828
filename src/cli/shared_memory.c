/* A memfd, sealed against shrinking as the server wants it, and the connection that it was handed over through: the server forgets the memory when that ends. */
#include "cli/shared_memory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "base/banned.h"

enum { TOKEN_LENGTH = 32, ANSWER_SECONDS = 2 };

struct shared_memory {
	int connection;
	uint8_t *data;
	size_t size;
	char token[TOKEN_LENGTH + 1];
};

/* A service elsewhere must not be asked: its answer would be the path of a socket here. */
static bool is_here(const char *endpoint)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost", "[::1]" };
	const char *host = strstr(endpoint, "://") + 3;
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		size_t size = strlen(hosts[i]);
		if (strncmp(host, hosts[i], size) == 0 && (host[size] == ':' || !host[size]))
			return true;
	}
	return false;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = ANSWER_SECONDS };
	if (!path || strlen(path) >= sizeof address.sun_path)
		return -1;
	memcpy(address.sun_path, path, strlen(path) + 1);
	int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection < 0)
		return -1;
	/* connecting waits as sending does, when others are in line */
	if (setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) ||
		setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) ||
		connect(connection, (struct sockaddr *)&address, sizeof address)) {
		close(connection);
		return -1;
	}
	return connection;
}

static int ask_for_socket(struct client_connection *connection)
{
	struct error ignored;
	json_t *answer;
	const struct client_rest rest = { .service = "ebs", .method = "GET", .path = "/_amid/upload" };
	if (client_call_rest(connection, &rest, CLIENT_ONCE, &answer, &ignored))
		return -1;
	int socket = connect_to(json_string_value(json_object_get(answer, "socket")));
	json_decref(answer);
	return socket;
}

/* The descriptor with one byte; the token comes back. */
static int hand_over(struct shared_memory *memory, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr aligned;
	} control = { 0 };
	char answer[TOKEN_LENGTH + 1];
	struct iovec part = { .iov_base = "A", .iov_len = 1 };
	struct msghdr message = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	if (sendmsg(memory->connection, &message, MSG_NOSIGNAL) != 1 ||
		recv(memory->connection, answer, sizeof answer, MSG_WAITALL) != sizeof answer ||
		answer[TOKEN_LENGTH] != '\n')
		return -1;
	memcpy(memory->token, answer, TOKEN_LENGTH);
	return strspn(memory->token, "0123456789abcdef") == TOKEN_LENGTH ? 0 : -1;
}

static int share(struct shared_memory *memory, struct client_connection *connection)
{
	int fd FILE_SCOPED = memfd_create("amid-import", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)memory->size) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK))
		return -1;
	void *data = mmap(NULL, memory->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED)
		return -1;
	memory->data = data;
	memory->connection = ask_for_socket(connection);
	return memory->connection < 0 ? -1 : hand_over(memory, fd);
}

struct shared_memory *shared_memory_open(
	const struct client *client, struct client_connection *connection, size_t size)
{
	if (!is_here(client_endpoint(client)))
		return NULL;
	struct shared_memory *memory = memory_alloc(sizeof *memory);
	*memory = (struct shared_memory){ .connection = -1, .size = size };
	if (share(memory, connection)) {
		shared_memory_close(memory);
		return NULL;
	}
	return memory;
}

void shared_memory_close(struct shared_memory *memory)
{
	if (!memory)
		return;
	file_close_cleanup(&memory->connection);
	if (memory->data)
		munmap(memory->data, memory->size);
	free(memory);
}

uint8_t *shared_memory_data(const struct shared_memory *memory)
{
	return memory->data;
}

const char *shared_memory_token(const struct shared_memory *memory)
{
	return memory->token;
}
