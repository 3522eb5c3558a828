/*
 * The tables, and how a file of an older version gets to this one.
 *
 * A migration is a list of statements that lead from one version to the next, run in one transaction together
 * with the new version number: a crash leaves the old version or the new. A migration that was released is never
 * changed; a change of the schema is a new one at the end. What PostgreSQL would say otherwise is only here
 * (WITHOUT ROWID, application_id) and in database.c. See docs/design/metadata.md for what the tables mean.
 */
#include "meta/meta_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/banned.h"
#include "base/log.h"

static const char *const tables_of_version_1[] = {
	"PRAGMA application_id = 1634560356", /* "amid", see database.c */
	"CREATE TABLE records ("
	" kind TEXT NOT NULL, account TEXT NOT NULL, region TEXT NOT NULL, id TEXT NOT NULL,"
	" version BIGINT NOT NULL, body TEXT NOT NULL,"
	" PRIMARY KEY (kind, account, id, region))",
	"CREATE INDEX records_by_id ON records (kind, id, account, region)",
	"CREATE TABLE record_index ("
	" kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,"
	" account TEXT NOT NULL, region TEXT NOT NULL, id TEXT NOT NULL, is_unique INTEGER NOT NULL,"
	" PRIMARY KEY (kind, name, value, account, id, region)) WITHOUT ROWID",
	"CREATE UNIQUE INDEX record_index_unique ON record_index (kind, name, value, account, region)"
	" WHERE is_unique = 1",
	"CREATE INDEX record_index_by_record ON record_index"
	" (kind, account, id, region, name, value, is_unique)",
	"CREATE TABLE record_kinds (kind TEXT NOT NULL PRIMARY KEY, indexes TEXT NOT NULL)",
	"CREATE TABLE change_log ("
	" sequence BIGINT NOT NULL PRIMARY KEY, time_ms BIGINT NOT NULL, kind TEXT NOT NULL,"
	" account TEXT NOT NULL, region TEXT NOT NULL, id TEXT NOT NULL, deleted INTEGER NOT NULL)"
	" WITHOUT ROWID",
	NULL,
};

const struct schema_migration schema_migrations[] = {
	{ 1, tables_of_version_1 },
};
const size_t schema_migration_count = sizeof schema_migrations / sizeof *schema_migrations;

static int read_version(struct database *database, int *version, struct error *err)
{
	struct cursor row CURSOR_SCOPED = { 0 };
	if (database_query_text(
		    database, "SELECT COALESCE(MAX(version), 0) FROM schema_version", &row, err) ||
		cursor_next(&row, err) < 0)
		return -1;
	*version = (int)cursor_number(&row, 0);
	return 0;
}

static int run_statements(
	struct database *database, const struct schema_migration *migration, struct error *err)
{
	for (const char *const *statement = migration->statements; *statement; statement++)
		if (database_execute(database, *statement, err))
			return -1;
	char version[96];
	snprintf(version, sizeof version, "INSERT INTO schema_version (version) VALUES (%d)",
		migration->version);
	return database_execute(database, version, err);
}

static int run_migration(
	struct database *database, const struct schema_migration *migration, struct error *err)
{
	if (database_begin(database, err))
		return -1;
	if (!database_execute(database,
		    "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL PRIMARY KEY)",
		    err) &&
		!run_statements(database, migration, err))
		return database_commit(database, err);
	database_rollback(database);
	return error_prefix(err, "migration to schema version %d", migration->version);
}

static int has_tables(struct database *database, bool *has, struct error *err)
{
	struct cursor row CURSOR_SCOPED = { 0 };
	if (database_query_text(database, "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'schema_version'",
		    &row, err) ||
		cursor_next(&row, err) < 0)
		return -1;
	*has = cursor_number(&row, 0) > 0;
	return 0;
}

int schema_migrate(
	struct database *database, const struct schema_migration *migrations, size_t count, struct error *err)
{
	bool exists;
	int version = 0;
	if (has_tables(database, &exists, err) || (exists && read_version(database, &version, err)))
		return -1;
	int newest = migrations[count - 1].version;
	if (version > newest)
		return error_set(err, ERROR_INVALID,
			"the metadata has schema version %d, made by a newer amid; this one knows up to %d",
			version, newest);
	for (size_t i = 0; i < count; i++) {
		if (migrations[i].version <= version)
			continue;
		if (run_migration(database, &migrations[i], err))
			return -1;
		if (version)
			log_info("metadata-migrated", "version=%d", migrations[i].version);
	}
	return 0;
}
