/* Another root key for a data folder. The folder's lock is held as a server holds it; the change is one commit, so whatever ends this, exactly one of the two root keys opens the folder. Runs on the caller's thread. */
#include "svc/rekey.h"

#include "base/file.h"
#include "svc/amid.h"
#include "base/banned.h"

int rekey_data(const struct secrets_config *from, const struct secrets_config *to, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct meta *meta;
	int lock FILE_SCOPED = amid_lock_offline(from->data, err);
	if (lock < 0 || meta_open(arena_printf(arena, "%s/meta.db", from->data), &meta, err))
		return -1;
	int result = secrets_change_root(from, to, meta, err);
	meta_close(meta);
	return result;
}
