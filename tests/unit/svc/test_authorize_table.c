/* The tables of src/svc/authorize against the operations that there are. */
#include "handlers.h"

#include "api/ebs.h"
#include "api/iam.h"
#include "api/kms.h"
#include "api/organizations.h"
#include "api/rbin.h"
#include "api/sts.h"
#include "svc/authorize/internal.h"

static const struct service *const services[] = { &ec2_service, &ebs_service, &rbin_service, &sts_service,
	&kms_service, &iam_service, &organizations_service };

static void every_operation_has_a_row(void **state)
{
	for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
		const struct table *table = table_of_service(services[i]->name);
		if (!table)
			fail_msg("no table of %s", services[i]->name);
		for (unsigned j = 0; j < services[i]->operation_count; j++) {
			const char *name = services[i]->operations[j].shape->name;
			if (!table_find(table, name))
				fail_msg("%s has no row for %s", services[i]->name, name);
		}
	}
}

static void rows_are_in_order(void **state)
{
	const struct table *const tables[] = { &table_ec2, &table_ebs, &table_rbin, &table_sts, &table_iam,
		&table_kms, &table_organizations };
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		for (size_t j = 1; j < tables[i]->count; j++)
			assert_true(
				strcmp(tables[i]->rows[j - 1].operation, tables[i]->rows[j].operation) < 0);
}

/* Whether a path is one of the shape's; lists are passed through. */
static bool has_path(const struct shape *shape, const char *path)
{
	while (shape->kind == SHAPE_LIST)
		shape = shape->element;
	if (shape->kind != SHAPE_STRUCTURE)
		return false;
	size_t size = strcspn(path, ".");
	for (unsigned i = 0; i < shape->member_count; i++) {
		const struct shape_member *member = &shape->members[i];
		if (strlen(member->name) == size && memcmp(member->name, path, size) == 0)
			return !path[size] || has_path(member->shape, path + size + 1);
	}
	return false;
}

static void rows_name_members_that_there_are(void **state)
{
	for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
		const struct table *table = table_of_service(services[i]->name);
		for (unsigned j = 0; j < services[i]->operation_count; j++) {
			const struct shape_operation *shape = services[i]->operations[j].shape;
			const struct table_row *row = table_find(table, shape->name);
			for (const struct rule *rule = row->rules; rule->how != RULE_END; rule++)
				if (rule->member && !has_path(shape->input, rule->member))
					fail_msg("%s has no %s", shape->name, rule->member);
		}
	}
}

/* What an operation's line in api/NAME.ops names must agree with the table: whatever the table acts on by a plain rule stands there too. */
static void rows_agree_with_the_operations_resources(void **state)
{
	for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
		const struct table *table = table_of_service(services[i]->name);
		for (unsigned j = 0; j < services[i]->operation_count; j++) {
			const struct operation *operation = &services[i]->operations[j];
			const struct table_row *row = table_find(table, operation->shape->name);
			for (const struct rule *rule = row->rules; rule->how != RULE_END; rule++) {
				bool listed = rule->type == RESOURCE_ANY || rule->action;
				for (const char *const *type = operation->resources; type && *type; type++)
					listed |= strcmp(*type, resource_kinds[rule->type].name) == 0;
				if (!listed)
					fail_msg("%s: %s is not listed in %s.ops", operation->shape->name,
						resource_kinds[rule->type].name, services[i]->name);
			}
		}
	}
}

static void record_members_of_keys_are_there(void **state)
{
	for (const struct key *key = keys_ec2; key->name; key++)
		for (unsigned type = 0; type < RESOURCE_TYPE_COUNT; type++) {
			const struct record_kind *kind = resource_kinds[type].record;
			if (!(key->types & 1U << type) || !kind || !key->member)
				continue;
			/* constants and ids are no members */
			if (strcmp(key->member, "id") == 0 || strcmp(key->member, "machine") == 0 ||
				strcmp(key->member, "default") == 0 || strcmp(key->member, "on-demand") == 0)
				continue;
			if (!has_path(kind->shape, key->member))
				fail_msg("%s: %s has no %s", key->name, kind->name, key->member);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_has_a_row),
		cmocka_unit_test(rows_are_in_order),
		cmocka_unit_test(rows_name_members_that_there_are),
		cmocka_unit_test(rows_agree_with_the_operations_resources),
		cmocka_unit_test(record_members_of_keys_are_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
