/* The policies of a user itself: inline ones, its boundary, those of its session. Compiled anew for each call. */
#include <string.h>

#include "svc/authorize/internal.h"
#include "base/banned.h"

static int add_document(struct governing *governing, struct policy_list *list, const char *name,
	const char *document, struct arena *arena, struct error *err)
{
	struct policy *policy;
	if (policy_compile(POLICY_IDENTITY, document, strlen(document), &policy, err))
		return error_prefix(err, "policy %s", name);
	governing_take(governing, list, policy, name, arena);
	return 0;
}

int governing_collect_identity(struct amid *amid, const struct principal *principal, struct arena *arena,
	struct governing *governing, struct error *err)
{
	struct policy_set *set = &governing->set;
	struct iam_user_record *user = NULL;
	set->has_session = principal->session_policy_count > 0;
	for (size_t i = 0; i < principal->session_policy_count; i++)
		if (add_document(governing, &set->session, "session", principal->session_policies[i], arena, err))
			return -1;
	if (principal->type != PRINCIPAL_USER)
		return 0;
	if (meta_get(amid->meta, &record_iam_user, principal->account, "", principal->id, arena, &user, err))
		return -1;
	for (size_t i = 0; user && i < user->inline_policies.count; i++)
		if (add_document(governing, &set->identity, user->inline_policies.items[i].name,
			    user->inline_policies.items[i].document, arena, err))
			return -1;
	return 0;
}
