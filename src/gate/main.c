/*
 * amid-gate FD SIZE: the scanner, a process for each scan. amid starts it with a socket; it shuts itself in, reads the disk of SIZE bytes through the socket, and says what it has found. It knows nothing else of the world: not where the
 * disk is from, nor whose it is. One thread.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "gate/confine.h"
#include "gate/scan.h"
#include "gate/wire.h"
#include "base/banned.h"

/* The other side has gone, or says what makes no sense: there is nobody to tell. */
enum { EXIT_WRONG_USE = 2, EXIT_NOT_CONFINED = 3, EXIT_GONE = 4 };

struct line {
	int fd;
	uint64_t size;
};

/* read and write are what the filter lets through: no recv, no send */
static void write_all(int fd, const void *data, size_t size)
{
	for (const char *p = data; size;) {
		ssize_t part = write(fd, p, size);
		if (part < 0 && errno == EINTR)
			continue;
		if (part <= 0)
			_exit(EXIT_GONE);
		p += part;
		size -= (size_t)part;
	}
}

static void read_all(int fd, void *data, size_t size)
{
	for (char *p = data; size;) {
		ssize_t part = read(fd, p, size);
		if (part < 0 && errno == EINTR)
			continue;
		if (part <= 0)
			_exit(EXIT_GONE);
		p += part;
		size -= (size_t)part;
	}
}

static void send_frame(int fd, enum gate_frame_type type, const void *data, size_t size)
{
	char frame[sizeof(struct gate_frame) + GATE_FRAME_MAX];
	const struct gate_frame head = { type, (uint32_t)size };
	memcpy(frame, &head, sizeof head);
	memcpy(frame + sizeof head, data, size);
	write_all(fd, frame, sizeof head + size);
}

static int read_block(void *context, uint64_t index, void *block)
{
	const struct line *line = context;
	const struct gate_wire_read wanted = { index };
	struct gate_wire_block answer;
	uint64_t left = line->size - index * GATE_BLOCK_SIZE;
	send_frame(line->fd, GATE_FRAME_READ, &wanted, sizeof wanted);
	read_all(line->fd, &answer, sizeof answer);
	if (answer.status == GATE_BLOCK_ZEROS) {
		memset(block, 0, GATE_BLOCK_SIZE);
		return 0;
	}
	if (answer.status != GATE_BLOCK_DATA)
		return -1;
	if (answer.size > GATE_BLOCK_SIZE || answer.size < (left < GATE_BLOCK_SIZE ? left : GATE_BLOCK_SIZE))
		_exit(EXIT_GONE);
	read_all(line->fd, block, answer.size);
	return 0;
}

static void send_finding(void *context, const struct gate_finding *finding)
{
	const struct line *line = context;
	char data[GATE_FRAME_MAX];
	size_t path_size = strlen(finding->path);
	const struct gate_wire_found found = { finding->rule, finding->reason, finding->partition,
		(uint32_t)path_size };
	memcpy(data, &found, sizeof found);
	memcpy(data + sizeof found, finding->path, path_size);
	send_frame(line->fd, GATE_FRAME_FOUND, data, sizeof found + path_size);
}

int main(int argc, char **argv)
{
	int64_t fd, size;
	const char *what;
	if (argc != 3 || text_parse_int64(argv[1], &fd) || text_parse_int64(argv[2], &size) || fd < 0 ||
		fd > 1 << 20 || size < 0) {
		fputs("amid-gate: amid starts this; it is of no use by hand\n", stderr);
		return EXIT_WRONG_USE;
	}
	if (gate_confine((int)fd, &what))
		_exit(EXIT_NOT_CONFINED);
	struct line line = { (int)fd, (uint64_t)size };
	struct gate_scan scan = { .disk = gate_disk_create(line.size, read_block, &line),
		.found = send_finding,
		.context = &line };
	gate_scan_run(&scan);
	const struct gate_wire_done done = { scan.files, scan.entries, scan.bytes_read };
	send_frame(line.fd, GATE_FRAME_DONE, &done, sizeof done);
	gate_disk_destroy(scan.disk);
	_exit(0); /* nothing of a library's end is wanted, and the filter would not let it */
}
