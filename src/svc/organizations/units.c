/* Organizational units, and what is below or above what: CreateOrganizationalUnit and its like, ListChildren, ListParents. Run on the thread of the call. */
#include "svc/organizations/common.h"

#include <string.h>

#include "base/text.h"
#include "base/banned.h"

enum { DEPTH_MAX = 5, ID_LETTERS = 8 };

/* Below the root a unit has no parent in its record. */
static const char *stored_parent(const struct org_node *parent)
{
	return parent->type == ORG_UNIT ? parent->id : NULL;
}

static int show(struct call *call, struct organization_record *organization,
	struct organization_unit_record *unit, struct organizations_OrganizationalUnit *shown,
	struct error *err)
{
	struct org_node node = org_node_of_unit(call, organization, unit);
	size_t depth;
	*shown = (struct organizations_OrganizationalUnit){
		.id = node.id, .arn = node.arn, .name = node.name
	};
	return org_path_of(call, organization, &node, &shown->path, &depth, err);
}

static int find(struct call *call, struct organization_record *organization, const char *id,
	struct org_node *node, struct error *err)
{
	if (org_node_find(call, organization, id, node, err))
		return -1;
	if (node->type == ORG_UNIT)
		return 0;
	return error_set(err, ERROR_ORG_UNIT_NOT_FOUND,
		"You specified an organizational unit that doesn't exist: %.80s", id);
}

/* Names are unique below a parent. */
static int check_name(struct call *call, const struct organization_record *organization, const char *parent,
	const char *name, struct error *err)
{
	struct meta_rows rows;
	if (org_list_units(call, organization, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct organization_unit_record *unit = rows.items[i];
		if (text_equal(unit->parent, parent) && strcmp(unit->name, name) == 0)
			return error_set(err, ERROR_ORG_UNIT_DUPLICATE,
				"An OU with the same name already exists: %.128s", name);
	}
	return 0;
}

static int check_depth(struct call *call, struct organization_record *organization,
	const struct org_node *parent, struct error *err)
{
	const char *path;
	size_t depth;
	if (org_path_of(call, organization, parent, &path, &depth, err))
		return -1;
	return depth < DEPTH_MAX
		? 0
		: error_set(err, ERROR_ORG_UNIT_DEPTH,
			  "You have exceeded the allowed depth of organizational units: %d", DEPTH_MAX);
}

int organizations_create_organizational_unit(struct call *call,
	const struct organizations_CreateOrganizationalUnitRequest *request,
	struct organizations_CreateOrganizationalUnitResponse *result, struct error *err)
{
	struct organization_record *organization;
	struct org_node parent;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		org_parent_find(
			call, organization, request->parent_id, ERROR_ORG_PARENT_NOT_FOUND, &parent, err) ||
		check_depth(call, organization, &parent, err) ||
		check_name(call, organization, stored_parent(&parent), request->name, err))
		return -1;
	const char *prefix = arena_printf(call->arena, "ou-%s-", organization->root + strlen("r-"));
	struct organization_unit_record unit = {
		.record = { .account = call->account,
			.region = "",
			.id = org_random_id(call->arena, prefix, ID_LETTERS) },
		.organization = organization->record.id,
		.name = request->name,
		.parent = stored_parent(&parent),
	};
	if (org_tags_merge(call, &request->tags, &unit.tags, err))
		return -1;
	if (boolean_or(organization->policies_enabled, false))
		org_add(&unit.policies, ORGANIZATION_FULL_ACCESS, call->arena);
	meta_batch_put(batch, &record_organization_unit, &unit);
	if (org_commit(call, batch, organization, err))
		return -1;
	result->organizational_unit = arena_alloc(call->arena, sizeof *result->organizational_unit);
	return show(call, organization, &unit, result->organizational_unit, err);
}

int organizations_update_organizational_unit(struct call *call,
	const struct organizations_UpdateOrganizationalUnitRequest *request,
	struct organizations_UpdateOrganizationalUnitResponse *result, struct error *err)
{
	struct organization_record *organization;
	struct org_node node;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		find(call, organization, request->organizational_unit_id, &node, err))
		return -1;
	if (request->name && strcmp(request->name, node.name) != 0) {
		if (check_name(call, organization, node.unit->parent, request->name, err))
			return -1;
		node.unit->name = request->name;
		org_node_put(batch, &node);
		if (org_commit(call, batch, organization, err))
			return -1;
	}
	result->organizational_unit = arena_alloc(call->arena, sizeof *result->organizational_unit);
	return show(call, organization, node.unit, result->organizational_unit, err);
}

int organizations_describe_organizational_unit(struct call *call,
	const struct organizations_DescribeOrganizationalUnitRequest *request,
	struct organizations_DescribeOrganizationalUnitResponse *result, struct error *err)
{
	struct organization_record *organization;
	struct org_node node;
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		find(call, organization, request->organizational_unit_id, &node, err))
		return -1;
	result->organizational_unit = arena_alloc(call->arena, sizeof *result->organizational_unit);
	return show(call, organization, node.unit, result->organizational_unit, err);
}

static int check_empty(struct call *call, const struct organization_record *organization, const char *unit,
	struct error *err)
{
	struct meta_rows units, accounts;
	struct meta_query below = { .index = "parent", .value = unit, .limit = 1 },
			  members = { .index = "unit", .value = unit, .limit = 1 };
	(void)organization;
	if (meta_list(call->amid->meta, &record_organization_unit, &below, call->arena, &units, err) ||
		meta_list(call->amid->meta, &record_account, &members, call->arena, &accounts, err))
		return -1;
	if (!units.count && !accounts.count)
		return 0;
	return error_set(err, ERROR_ORG_UNIT_NOT_EMPTY,
		"The organizational unit %.80s is not empty: move its accounts and delete its units first.",
		unit);
}

int organizations_delete_organizational_unit(struct call *call,
	const struct organizations_DeleteOrganizationalUnitRequest *request,
	struct organizations_DeleteOrganizationalUnitResult *result, struct error *err)
{
	struct organization_record *organization;
	struct org_node node;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	(void)result;
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		find(call, organization, request->organizational_unit_id, &node, err) ||
		check_empty(call, organization, node.id, err))
		return -1;
	meta_batch_delete(batch, &record_organization_unit, node.unit);
	return org_commit(call, batch, organization, err);
}

/* ---- lists ---- */

int organizations_list_organizational_units_for_parent(struct call *call,
	const struct organizations_ListOrganizationalUnitsForParentRequest *request,
	struct organizations_ListOrganizationalUnitsForParentResponse *result, struct error *err)
{
	struct organization_record *organization;
	struct org_node parent;
	struct meta_rows rows;
	struct page page;
	struct organizations_OrganizationalUnits *shown = &result->organizational_units;
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		org_parent_find(
			call, organization, request->parent_id, ERROR_ORG_PARENT_NOT_FOUND, &parent, err) ||
		org_page_open(call, request->max_results, request->next_token, &page, err) ||
		org_list_units(call, organization, &rows, err))
		return -1;
	shown->set = true;
	for (size_t i = 0; i < rows.count; i++) {
		struct organization_unit_record *unit = rows.items[i];
		if (!text_equal(unit->parent, stored_parent(&parent)) ||
			!page_is_ahead(&page, unit->record.id))
			continue;
		if (!page_take(&page, unit->record.id))
			break;
		if (show(call, organization, unit, ARENA_APPEND(call->arena, shown->items, shown->count),
			    err))
			return -1;
	}
	result->next_token = page_close(&page);
	return 0;
}

int organizations_list_children(struct call *call, const struct organizations_ListChildrenRequest *request,
	struct organizations_ListChildrenResponse *result, struct error *err)
{
	struct organization_record *organization;
	struct org_node parent;
	struct meta_rows rows;
	struct page page;
	struct organizations_Children *shown = &result->children;
	bool units = strcmp(request->child_type, "ORGANIZATIONAL_UNIT") == 0;
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		org_parent_find(
			call, organization, request->parent_id, ERROR_ORG_PARENT_NOT_FOUND, &parent, err) ||
		org_page_open(call, request->max_results, request->next_token, &page, err))
		return -1;
	if (units ? org_list_units(call, organization, &rows, err)
		  : org_list_accounts(call, organization, &rows, err))
		return -1;
	shown->set = true;
	for (size_t i = 0; i < rows.count; i++) {
		const char *id = ((struct record *)rows.items[i])->id;
		const char *above = units ? ((struct organization_unit_record *)rows.items[i])->parent
					  : ((struct account_record *)rows.items[i])->unit;
		if (!text_equal(above, stored_parent(&parent)) || !page_is_ahead(&page, id))
			continue;
		if (!page_take(&page, id))
			break;
		*ARENA_APPEND(call->arena, shown->items, shown->count) =
			(struct organizations_Child){ .id = id, .type = request->child_type };
	}
	result->next_token = page_close(&page);
	return 0;
}

/* There is one, always. */
int organizations_list_parents(struct call *call, const struct organizations_ListParentsRequest *request,
	struct organizations_ListParentsResponse *result, struct error *err)
{
	struct organization_record *organization;
	struct org_node node;
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		org_node_find(call, organization, request->child_id, &node, err))
		return -1;
	if (!node.parent)
		return error_set(err, ERROR_ORG_CHILD_NOT_FOUND,
			"There is no account or organizational unit %.80s.", request->child_id);
	struct organizations_Parent *parent = arena_alloc(call->arena, sizeof *parent);
	*parent = (struct organizations_Parent){ .id = node.parent,
		.type = strcmp(node.parent, organization->root) == 0 ? "ROOT" : "ORGANIZATIONAL_UNIT" };
	result->parents = (struct organizations_Parents){ .items = parent, .count = 1, .set = true };
	return 0;
}
