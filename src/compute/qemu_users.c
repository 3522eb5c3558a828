/*
 * Which user each machine's process is: a uid, and a gid of the same number, of its own, so that a guest that breaks out of QEMU is nobody to the rest of the host, other machines included.
 *
 * Nothing is written down. A running machine's user is its process's. One that is yet to start gets a number derived from its id, or the next that is free: that no process of this host has (the kernel knows, also of
 * machines of other amids), and that no other machine of ours was promised. The promise lasts until the machine is destroyed; after a restart of amid it is made anew. Any thread; compute->lock guards the promises.
 *
 * Two amids may promise the same number at the same instant only if two random ids fall on the same one of 134 million.
 */
#include "compute/qemu_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/banned.h"

enum {
	/* Above what distributions, systemd and containers' ranges of user ids take, below 2^31, where programs begin to err. */
	USERS_FIRST = 1879048192,
	USERS_COUNT = 1 << 27,
	TRIES_LIMIT = 4096,
};

struct machine_user {
	struct machine_user *next;
	uid_t user;
	char id[];
};

/* Whether all of the range has a meaning in the user namespace that we are in: file is "uid_map" or "gid_map", lines of "INSIDE OUTSIDE COUNT". */
static bool is_mapped(const char *path)
{
	FILE *file = fopen(path, "re");
	uint64_t inside, outside, count;
	bool found = false;
	while (file && !found &&
		fscanf(file, "%" SCNu64 " %" SCNu64 " %" SCNu64, &inside, &outside, &count) == 3)
		found = inside <= USERS_FIRST && inside + count >= (uint64_t)USERS_FIRST + USERS_COUNT;
	if (file)
		fclose(file);
	return found;
}

bool qemu_users_possible(void)
{
	if (is_mapped("/proc/self/uid_map") && is_mapped("/proc/self/gid_map"))
		return true;
	log_warning("machines-share-user",
		"reason=\"the user ids from %d on mean nothing in this user namespace\"", USERS_FIRST);
	return false;
}

/* Whether some process has it: the kernel finds one to tell its priority of, or none. */
static bool is_used(uid_t user)
{
	errno = 0;
	return getpriority(PRIO_USER, user) != -1 || errno != ESRCH;
}

static struct machine_user **find_promise(struct compute *compute, const char *id)
{
	struct machine_user **at = &compute->users;
	while (*at && strcmp((*at)->id, id) != 0)
		at = &(*at)->next;
	return at;
}

static bool is_promised(const struct compute *compute, uid_t user)
{
	const struct machine_user *each = compute->users;
	while (each && each->user != user)
		each = each->next;
	return each;
}

static uid_t derive_user(const char *id, unsigned try)
{
	struct digest digest;
	uint32_t number;
	digest_sha256(id, strlen(id), &digest);
	memcpy(&number, digest.bytes, sizeof number);
	return USERS_FIRST + (number + try) % USERS_COUNT;
}

/* Called with the lock. */
static int promise(struct compute *compute, const char *id, uid_t *user, struct error *err)
{
	const struct machine_user *earlier = *find_promise(compute, id);
	if (earlier) {
		*user = earlier->user;
		return 0;
	}
	for (unsigned try = 0; try < TRIES_LIMIT; try++) {
		*user = derive_user(id, try);
		if (is_promised(compute, *user) || is_used(*user))
			continue;
		size_t size = strlen(id) + 1;
		struct machine_user *made = memory_alloc(sizeof *made + size);
		*made = (struct machine_user){ .next = compute->users, .user = *user };
		memcpy(made->id, id, size);
		compute->users = made;
		return 0;
	}
	return error_set(err, ERROR_UNAVAILABLE, "there is no free user id for machine %s", id);
}

int qemu_users_promise(struct compute *compute, const char *id, uid_t *user, struct error *err)
{
	*user = geteuid();
	if (!compute->own_users)
		return 0;
	pthread_mutex_lock(&compute->lock);
	int result = promise(compute, id, user, err);
	pthread_mutex_unlock(&compute->lock);
	return result;
}

void qemu_users_release(struct compute *compute, const char *id)
{
	pthread_mutex_lock(&compute->lock);
	struct machine_user **at = find_promise(compute, id), *gone = *at;
	if (gone)
		*at = gone->next;
	pthread_mutex_unlock(&compute->lock);
	free(gone);
}

void qemu_users_close(struct compute *compute)
{
	while (compute->users) {
		struct machine_user *gone = compute->users;
		compute->users = gone->next;
		free(gone);
	}
}

bool qemu_users_may_use_kvm(const struct compute *compute, gid_t *group)
{
	struct stat status;
	*group = 0;
	if (!compute->own_users)
		return true;
	if (stat("/dev/kvm", &status) == 0) {
		if ((status.st_mode & 06) == 06)
			return true;
		/* the group root is no group for strangers */
		if ((status.st_mode & 060) == 060 && status.st_gid != 0) {
			*group = status.st_gid;
			return true;
		}
	}
	log_warning("kvm-not-for-machines",
		"reason=\"/dev/kvm is open neither to all nor to a group other than root's\"");
	return false;
}
