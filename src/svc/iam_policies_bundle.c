/*
 * Bundles: the records of a principal, of its groups and of their managed policies are read, and their documents compiled. Before a record is read its counter is: see iam_policies.h. Runs on the
 * thread of a call that found no bundle, or one out of date.
 */
#include <string.h>

#include "api/records.h"
#include "base/text.h"
#include "svc/amid.h"
#include "svc/iam_managed.h"
#include "svc/iam_policies_internal.h"
#include "base/banned.h"

struct maker {
	struct amid *amid;
	const char *account;
	struct bundle *bundle;
	struct arena *scratch; /* the records */
	struct error *err;
};

void bundle_release(struct bundle *bundle)
{
	if (atomic_fetch_sub(&bundle->references, 1) != 1)
		return;
	for (size_t i = 0; i < bundle->policy_count; i++)
		policy_release(bundle->policies[i].policy);
	for (size_t i = 0; i < bundle->boundary_count; i++)
		policy_release(bundle->boundary[i].policy);
	arena_destroy(bundle->arena); /* the bundle too */
}

static struct dependency counter_now(const struct maker *maker, const char *kind, const char *id)
{
	uint32_t counter = policies_counter_of(kind, maker->account, id);
	return (struct dependency){ counter, atomic_load(&maker->amid->iam_policies->counters[counter]) };
}

static void depend(struct maker *maker, struct dependency dependency)
{
	struct bundle *bundle = maker->bundle;
	*ARENA_APPEND(bundle->arena, bundle->dependencies, bundle->dependency_count) = dependency;
}

/* Reads a record of the account on which the bundle depends from now on; *record is NULL if there is none. */
static int read_record(struct maker *maker, const struct record_kind *kind, const char *id, void *record)
{
	depend(maker, counter_now(maker, kind->name, id));
	return meta_get(maker->amid->meta, kind, maker->account, "", id, maker->scratch, record, maker->err);
}

/* A list of the bundle that policies are added to. */
struct target {
	struct policy_named **items;
	size_t *count;
};

static int add_document(struct maker *maker, struct target target, const char *document, const char *name)
{
	struct arena *arena = maker->bundle->arena;
	struct policy *policy;
	if (iam_policies_compile(maker->amid->iam_policies, POLICY_IDENTITY, document, &policy, maker->err)) {
		maker->err->code = ERROR_INTERNAL; /* it was compiled before it was stored */
		return error_prefix(maker->err, "policy %s", name);
	}
	*ARENA_APPEND(arena, *target.items, *target.count) =
		(struct policy_named){ .policy = policy, .name = arena_strdup(arena, name) };
	return 0;
}

static const char *default_document(const struct iam_policy_record *policy)
{
	for (size_t i = 0; i < policy->versions.count; i++)
		if (text_equal(policy->versions.items[i].id, policy->default_version))
			return policy->versions.items[i].document;
	return NULL;
}

/* The id of the account's policy of that ARN; NULL: there is none, and the bundle waits for any. */
static int find_policy_id(struct maker *maker, const char *arn, const char **id)
{
	struct meta_rows rows = { 0 };
	struct meta_query query = {
		.account = maker->account, .region = "", .index = "arn", .value = arn, .limit = 1
	};
	struct dependency any = counter_now(maker, "iam_policy", "");
	if (meta_list(maker->amid->meta, &record_iam_policy, &query, maker->scratch, &rows, maker->err))
		return -1;
	*id = rows.count ? ((struct record *)rows.items[0])->id : NULL;
	if (!*id)
		depend(maker, any);
	return 0;
}

/* What the ARN leads to is read again behind its counter: only the id, which never changes, is taken from the search. */
static int add_managed(struct maker *maker, struct target target, const char *arn)
{
	const struct iam_managed_policy *managed = iam_managed_policy_find(arn);
	struct iam_policy_record *policy;
	const char *id;
	if (managed)
		return add_document(maker, target, managed->document, arn);
	if (find_policy_id(maker, arn, &id))
		return -1;
	if (!id)
		return 0;
	if (read_record(maker, &record_iam_policy, id, &policy))
		return -1;
	const char *document = policy ? default_document(policy) : NULL;
	return document ? add_document(maker, target, document, arn) : 0;
}

static int add_own(struct maker *maker, const struct record_inline_policy_list *inline_policies,
	const struct record_string_list *attached)
{
	struct target target = { &maker->bundle->policies, &maker->bundle->policy_count };
	for (size_t i = 0; i < inline_policies->count; i++) {
		const struct record_inline_policy *policy = &inline_policies->items[i];
		const char *name = arena_printf(maker->scratch, "inline:%s", policy->name);
		if (add_document(maker, target, policy->document, name))
			return -1;
	}
	for (size_t i = 0; i < attached->count; i++)
		if (add_managed(maker, target, attached->items[i]))
			return -1;
	return 0;
}

static int add_boundary(struct maker *maker, const char *arn)
{
	struct target target = { &maker->bundle->boundary, &maker->bundle->boundary_count };
	if (!arn)
		return 0;
	maker->bundle->has_boundary = true;
	return add_managed(maker, target, arn);
}

static int make_user(struct maker *maker, const char *id)
{
	struct iam_user_record *user;
	struct iam_group_record *group;
	if (read_record(maker, &record_iam_user, id, &user))
		return -1;
	if (!user)
		return 0;
	if (add_own(maker, &user->inline_policies, &user->attached_policies) ||
		add_boundary(maker, user->boundary))
		return -1;
	for (size_t i = 0; i < user->groups.count; i++) {
		if (read_record(maker, &record_iam_group, user->groups.items[i], &group))
			return -1;
		if (group && add_own(maker, &group->inline_policies, &group->attached_policies))
			return -1;
	}
	return 0;
}

static int make_role(struct maker *maker, const char *id)
{
	struct iam_role_record *role;
	if (read_record(maker, &record_iam_role, id, &role))
		return -1;
	if (!role)
		return 0;
	return add_own(maker, &role->inline_policies, &role->attached_policies) ||
			add_boundary(maker, role->boundary)
		? -1
		: 0;
}

static int make_session(struct maker *maker, const struct principal *principal)
{
	struct target target = { &maker->bundle->policies, &maker->bundle->policy_count };
	for (size_t i = 0; i < principal->session_policy_count; i++)
		if (add_document(maker, target, principal->session_policies[i], "session"))
			return -1;
	for (size_t i = 0; i < principal->session_policy_arn_count; i++)
		if (add_managed(maker, target, principal->session_policy_arns[i]))
			return -1;
	return 0;
}

int bundle_make(struct amid *amid, const struct principal *principal, bool session, const char *key,
	struct bundle **made, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	struct arena *arena = arena_create();
	struct bundle *bundle = arena_alloc(arena, sizeof *bundle);
	struct maker maker = {
		.amid = amid, .account = principal->account, .bundle = bundle, .scratch = scratch, .err = err
	};
	bundle->arena = arena;
	bundle->key = arena_strdup(arena, key);
	atomic_init(&bundle->references, 1);
	int failed;
	if (session)
		failed = make_session(&maker, principal);
	else if (principal->type == PRINCIPAL_ROLE_SESSION)
		failed = make_role(&maker, principal->issuer_id);
	else
		failed = make_user(
			&maker, principal->type == PRINCIPAL_USER ? principal->id : principal->issuer_id);
	if (failed) {
		bundle_release(bundle);
		return -1;
	}
	*made = bundle;
	return 0;
}
