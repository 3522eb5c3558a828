/* The caller's organization and its tree. A node is whatever policies and tags can be put on. Runs on the thread of the call. */
#include "svc/organizations/common.h"

#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "base/banned.h"

enum { PAGE = 20, DEPTH_MAX = 8, TAGS_MAX = 50 };

int org_open(struct call *call, enum org_reader reader, struct organization_record **organization,
	struct error *err)
{
	struct account_record *account;
	*organization = NULL;
	if (meta_get(call->amid->meta, &record_account, "", "", call->account, call->arena, &account, err))
		return -1;
	if (account && account->organization &&
		meta_get_any(call->amid->meta, &record_organization, "", account->organization, call->arena,
			organization, err))
		return -1;
	if (!*organization)
		return error_set(
			err, ERROR_ORG_NOT_IN_USE, "Your account is not a member of an organization.");
	if (reader == ORG_MANAGEMENT && strcmp((*organization)->record.account, call->account) != 0)
		return error_set(err, ERROR_ACCESS_DENIED,
			"You don't have permissions to access this resource: it is the management account's.");
	return 0;
}

int org_commit(struct call *call, struct meta_batch *batch, const struct organization_record *organization,
	struct error *err)
{
	meta_batch_put(batch, &record_organization, organization);
	return meta_commit(call->amid->meta, batch, err);
}

char *org_arn(
	struct call *call, const struct organization_record *organization, const char *kind, const char *id)
{
	return arena_printf(call->arena, "arn:aws:organizations::%s:%s/%s%s%s", organization->record.account,
		kind, organization->record.id, id ? "/" : "", id ? id : "");
}

char *org_random_id(struct arena *arena, const char *prefix, unsigned count)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t size = strlen(prefix);
	char *id = arena_alloc(arena, size + count + 1);
	memcpy(id, prefix, size);
	for (unsigned i = 0; i < count; i++) {
		uint32_t random;
		text_random_bytes(&random, sizeof random);
		id[size + i] = letters[random % (sizeof letters - 1)];
	}
	return id;
}

struct org_node org_node_of_root(struct call *call, struct organization_record *organization)
{
	return (struct org_node){ .type = ORG_ROOT,
		.id = organization->root,
		.name = "Root",
		.arn = org_arn(call, organization, "root", organization->root),
		.policies = &organization->root_policies,
		.tags = &organization->root_tags };
}

struct org_node org_node_of_unit(struct call *call, const struct organization_record *organization,
	struct organization_unit_record *unit)
{
	return (struct org_node){ .type = ORG_UNIT,
		.id = unit->record.id,
		.name = unit->name,
		.arn = org_arn(call, organization, "ou", unit->record.id),
		.parent = unit->parent ? unit->parent : organization->root,
		.policies = &unit->policies,
		.tags = &unit->tags,
		.unit = unit };
}

struct org_node org_node_of_account(
	struct call *call, const struct organization_record *organization, struct account_record *account)
{
	return (struct org_node){ .type = ORG_ACCOUNT,
		.id = account->record.id,
		.name = account->name,
		.arn = org_arn(call, organization, "account", account->record.id),
		.parent = account->unit ? account->unit : organization->root,
		.policies = &account->policies,
		.tags = &account->tags,
		.account = account };
}

static int find_unit(struct call *call, const struct organization_record *organization, const char *id,
	struct org_node *node, struct error *err)
{
	struct organization_unit_record *unit;
	if (meta_get(call->amid->meta, &record_organization_unit, organization->record.account, "", id,
		    call->arena, &unit, err))
		return -1;
	if (unit && text_equal(unit->organization, organization->record.id))
		*node = org_node_of_unit(call, organization, unit);
	return 0;
}

static int find_account(struct call *call, const struct organization_record *organization, const char *id,
	struct org_node *node, struct error *err)
{
	struct account_record *account;
	if (meta_get(call->amid->meta, &record_account, "", "", id, call->arena, &account, err))
		return -1;
	if (account && text_equal(account->organization, organization->record.id))
		*node = org_node_of_account(call, organization, account);
	return 0;
}

int org_node_find(struct call *call, struct organization_record *organization, const char *id,
	struct org_node *node, struct error *err)
{
	*node = (struct org_node){ 0 };
	if (strcmp(id, organization->root) == 0) {
		*node = org_node_of_root(call, organization);
		return 0;
	}
	return (text_starts_with(id, "ou-") ? find_unit : find_account)(call, organization, id, node, err);
}

int org_parent_find(struct call *call, struct organization_record *organization, const char *id,
	enum error_code missing, struct org_node *node, struct error *err)
{
	if (org_node_find(call, organization, id, node, err))
		return -1;
	if (node->type == ORG_ROOT || node->type == ORG_UNIT)
		return 0;
	return error_set(
		err, missing, "You specified a root or organizational unit that doesn't exist: %.100s", id);
}

void org_node_put(struct meta_batch *batch, const struct org_node *node)
{
	if (node->type == ORG_UNIT)
		meta_batch_put(batch, &record_organization_unit, node->unit);
	if (node->type == ORG_ACCOUNT)
		meta_batch_put(batch, &record_account, node->account);
}

int org_list_units(struct call *call, const struct organization_record *organization, struct meta_rows *rows,
	struct error *err)
{
	struct meta_query query = { .index = "organization", .value = organization->record.id };
	return meta_list(call->amid->meta, &record_organization_unit, &query, call->arena, rows, err);
}

int org_list_accounts(struct call *call, const struct organization_record *organization,
	struct meta_rows *rows, struct error *err)
{
	struct meta_query query = { .index = "organization", .value = organization->record.id };
	return meta_list(call->amid->meta, &record_account, &query, call->arena, rows, err);
}

int org_path_of(struct call *call, struct organization_record *organization, const struct org_node *node,
	const char **path, size_t *depth, struct error *err)
{
	struct org_node at = *node;
	char *below = arena_strdup(call->arena, "");
	for (*depth = 0; at.type != ORG_ROOT; ++*depth) {
		if (at.type == ORG_NONE || *depth > DEPTH_MAX)
			return error_set(err, ERROR_CORRUPT, "organization %s: %s hangs below nothing",
				organization->record.id, node->id);
		below = arena_printf(call->arena, "%s/%s", at.id, below);
		if (org_node_find(call, organization, at.parent, &at, err))
			return -1;
	}
	*path = arena_printf(call->arena, "%s/%s/%s", organization->record.id, organization->root, below);
	return 0;
}

bool org_has(const struct record_string_list *list, const char *text)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i], text) == 0)
			return true;
	return false;
}

void org_add(struct record_string_list *list, const char *text, struct arena *arena)
{
	const char **items = arena_alloc_array(arena, list->count + 1, sizeof *items);
	for (size_t i = 0; i < list->count; i++)
		items[i] = list->items[i];
	items[list->count] = text;
	list->items = items;
	list->count++;
	list->set = true;
}

void org_remove(struct record_string_list *list, const char *text)
{
	size_t kept = 0;
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i], text) != 0)
			list->items[kept++] = list->items[i];
	list->count = kept;
}

int org_page_open(struct call *call, struct shape_integer max_results, const char *next_token,
	struct page *page, struct error *err)
{
	static const struct page_rules rules = {
		.min = 1, .max = PAGE, .fallback = PAGE, .bad_token = ERROR_ORG_NEXT_TOKEN
	};
	return page_open(call, call->amid->token_key, &rules, max_results, next_token, page, err);
}

int org_tags_merge(struct call *call, const struct organizations_Tags *added, struct record_tag_list *tags,
	struct error *err)
{
	struct record_tag *items =
		arena_alloc_array(call->arena, tags->count + added->count + 1, sizeof *items);
	size_t count = 0;
	for (; count < tags->count; count++)
		items[count] = tags->items[count];
	for (size_t i = 0; i < added->count; i++) {
		const struct organizations_Tag *tag = &added->items[i];
		size_t at = 0;
		if (strncasecmp(tag->key, "aws:", 4) == 0)
			return error_set(err, ERROR_ORG_SYSTEM_TAG,
				"Tag keys that begin with aws: are reserved: %.128s", tag->key);
		while (at < count && strcmp(items[at].key, tag->key) != 0)
			at++;
		items[at] = (struct record_tag){ .key = tag->key, .value = tag->value };
		count += at == count;
	}
	if (count > TAGS_MAX)
		return error_set(err, ERROR_ORG_TAGS_MAX,
			"You have exceeded the number of tags allowed on a resource: %d", TAGS_MAX);
	*tags = (struct record_tag_list){ .items = items, .count = count, .set = count > 0 };
	return 0;
}

struct organizations_Account *org_show_account(struct call *call, struct organization_record *organization,
	struct account_record *account, struct error *err)
{
	struct org_node node = org_node_of_account(call, organization, account);
	struct organizations_Account *shown = arena_alloc(call->arena, sizeof *shown);
	const char **paths = arena_alloc(call->arena, sizeof *paths);
	bool suspended = boolean_or(account->suspended, false);
	size_t depth;
	if (org_path_of(call, organization, &node, &paths[0], &depth, err))
		return NULL;
	*shown = (struct organizations_Account){ .id = node.id,
		.arn = node.arn,
		.email = account->email,
		.name = account->name,
		.status = suspended ? "SUSPENDED" : "ACTIVE",
		.state = suspended ? "CLOSED" : "ACTIVE",
		.paths = { .items = paths, .count = 1, .set = true },
		.joined_method = strcmp(node.id, organization->record.account) == 0 ||
				boolean_or(account->invited, false)
			? "INVITED"
			: "CREATED",
		.joined_timestamp = account->joined };
	return shown;
}
