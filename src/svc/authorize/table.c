/* The tables of the smaller services, and finding a row. No state. */
#include <stdlib.h>
#include <string.h>

#include "svc/authorize/internal.h"
#include "base/banned.h"

static const struct table_row ebs_rows[] = {
	ROW(CompleteSnapshot, ID(SNAPSHOT, "SnapshotId")),
	ROW(GetSnapshotBlock, ID(SNAPSHOT, "SnapshotId")),
	ROW(ListChangedBlocks, ID(SNAPSHOT, "FirstSnapshotId"), ID(SNAPSHOT, "SecondSnapshotId")),
	ROW(ListSnapshotBlocks, ID(SNAPSHOT, "SnapshotId")),
	ROW(PutSnapshotBlock, ID(SNAPSHOT, "SnapshotId")),
	ROW(StartSnapshot, FIND(target_find_new_snapshot), ID(SNAPSHOT, "ParentSnapshotId"),
		TAGS_WITH("Tags", "ec2:CreateTags")),
};
const struct table table_ebs = { "ebs", "ebs", ebs_rows, sizeof ebs_rows / sizeof *ebs_rows };

static const struct table_row rbin_rows[] = {
	ROW(CreateRule, NEW(RETENTION_RULE), TAGS_WITH("Tags", "rbin:TagResource")),
	ROW(DeleteRule, ID(RETENTION_RULE, "Identifier")),
	ROW(GetRule, ID(RETENTION_RULE, "Identifier")),
	ROW(ListRules, NEW(RETENTION_RULE)),
	ROW(ListTagsForResource, ARN(RETENTION_RULE, "ResourceArn")),
	ROW(LockRule, ID(RETENTION_RULE, "Identifier")),
	ROW(TagResource, ARN(RETENTION_RULE, "ResourceArn")),
	ROW(UnlockRule, ID(RETENTION_RULE, "Identifier")),
	ROW(UntagResource, ARN(RETENTION_RULE, "ResourceArn")),
	ROW(UpdateRule, ID(RETENTION_RULE, "Identifier")),
};
const struct table table_rbin = { "rbin", "rbin", rbin_rows, sizeof rbin_rows / sizeof *rbin_rows };

/* AssumeRole and its like are decided by the role's trust policy, which their handlers read. */
static const struct table_row sts_rows[] = {
	ROW(AssumeRole, BY_HANDLER),
	ROW(AssumeRoleWithSAML, BY_HANDLER),
	ROW(AssumeRoleWithWebIdentity, BY_HANDLER),
	ROW(DecodeAuthorizationMessage, EVERY),
	ROW(GetAccessKeyInfo, EVERY),
	ROW(GetCallerIdentity, FREE),
	ROW(GetFederationToken, EVERY),
	ROW(GetSessionToken, FREE),
};
const struct table table_sts = { "sts", "sts", sts_rows, sizeof sts_rows / sizeof *sts_rows };

static const struct table_row cloudtrail_rows[] = {
	ROW(LookupEvents, EVERY),
};
const struct table table_cloudtrail = { "cloudtrail", "cloudtrail", cloudtrail_rows,
	sizeof cloudtrail_rows / sizeof *cloudtrail_rows };

static const struct table *const tables[] = { &table_ec2, &table_ebs, &table_rbin, &table_sts, &table_iam,
	&table_kms, &table_organizations, &table_cloudtrail };

const struct table *table_of_service(const char *service)
{
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		if (strcmp(tables[i]->service, service) == 0)
			return tables[i];
	return NULL;
}

static int compare_name(const void *name, const void *row)
{
	return strcmp(name, ((const struct table_row *)row)->operation);
}

const struct table_row *table_find(const struct table *table, const char *operation)
{
	return bsearch(operation, table->rows, table->count, sizeof *table->rows, compare_name);
}
