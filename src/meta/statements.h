/*
 * Every SQL statement of the metadata store: META_STATEMENT(symbol, text). Prepared once per connection.
 *
 * Written so that PostgreSQL takes the same text: standard SQL, placeholders $1, $2 ... numbered in the order
 * in which they first appear (SQLite numbers them so), text compared bytewise (the PostgreSQL schema declares
 * COLLATE "C"). No statement fails on a duplicate key, since that would abort a PostgreSQL transaction:
 * ON CONFLICT DO NOTHING, and the count of rows changed tells.
 */
#define RECORD_COLUMNS "r.account, r.region, r.id, r.version, r.body"
#define RECORD_BY_KEY " WHERE kind = $1 AND account = $2 AND region = $3 AND id = $4"
#define BY_INDEX \
	" FROM record_index x CROSS JOIN records r WHERE x.kind = $1 AND x.name = $2 AND x.value = $3" \
	" AND r.kind = x.kind AND r.account = x.account AND r.region = x.region AND r.id = x.id"
#define LIST_ORDER(first, second) " AND r.id > $" #first " ORDER BY r.id, r.account, r.region LIMIT $" #second
#define INDEX_ORDER(first, second) \
	" AND x.id > $" #first " ORDER BY x.id, x.account, x.region LIMIT $" #second

META_STATEMENT(SAVEPOINT_SET, "SAVEPOINT batch")
META_STATEMENT(SAVEPOINT_RELEASE, "RELEASE SAVEPOINT batch")
META_STATEMENT(SAVEPOINT_ROLLBACK, "ROLLBACK TO SAVEPOINT batch")

META_STATEMENT(RECORD_INSERT,
	"INSERT INTO records (kind, account, region, id, version, body) VALUES ($1, $2, $3, $4, 1, $5)"
	" ON CONFLICT DO NOTHING")
META_STATEMENT(RECORD_UPDATE,
	"UPDATE records SET version = version + 1, body = $1"
	" WHERE kind = $2 AND account = $3 AND region = $4 AND id = $5 AND version = $6")
META_STATEMENT(RECORD_DELETE, "DELETE FROM records" RECORD_BY_KEY " AND version = $5")
META_STATEMENT(RECORD_VERSION, "SELECT version FROM records" RECORD_BY_KEY)
META_STATEMENT(RECORD_GET, "SELECT " RECORD_COLUMNS " FROM records r" RECORD_BY_KEY)
META_STATEMENT(
	RECORD_GET_ANY, "SELECT " RECORD_COLUMNS " FROM records r WHERE r.kind = $1 AND r.id = $2 LIMIT 2")
META_STATEMENT(RECORD_GET_ANY_IN_REGION,
	"SELECT " RECORD_COLUMNS " FROM records r WHERE r.kind = $1 AND r.id = $2 AND r.region = $3 LIMIT 2")

/* The lists: in this order, so that LIST_ALL + (account: 1) + (region: 2) + (index: 4) is the one sought. */
META_STATEMENT(LIST_ALL, "SELECT " RECORD_COLUMNS " FROM records r WHERE r.kind = $1" LIST_ORDER(2, 3))
META_STATEMENT(LIST_ACCOUNT,
	"SELECT " RECORD_COLUMNS " FROM records r WHERE r.kind = $1 AND r.account = $2" LIST_ORDER(3, 4))
META_STATEMENT(LIST_REGION,
	"SELECT " RECORD_COLUMNS " FROM records r WHERE r.kind = $1 AND r.region = $2" LIST_ORDER(3, 4))
META_STATEMENT(LIST_ACCOUNT_REGION,
	"SELECT " RECORD_COLUMNS
	" FROM records r WHERE r.kind = $1 AND r.account = $2 AND r.region = $3" LIST_ORDER(4, 5))
META_STATEMENT(LIST_INDEX, "SELECT " RECORD_COLUMNS BY_INDEX INDEX_ORDER(4, 5))
META_STATEMENT(LIST_INDEX_ACCOUNT, "SELECT " RECORD_COLUMNS BY_INDEX " AND x.account = $4" INDEX_ORDER(5, 6))
META_STATEMENT(LIST_INDEX_REGION, "SELECT " RECORD_COLUMNS BY_INDEX " AND x.region = $4" INDEX_ORDER(5, 6))
META_STATEMENT(LIST_INDEX_ACCOUNT_REGION,
	"SELECT " RECORD_COLUMNS BY_INDEX " AND x.account = $4 AND x.region = $5" INDEX_ORDER(6, 7))

/* By the index alone: no record is read. */
META_STATEMENT(COUNT_INDEX,
	"SELECT COUNT(*) FROM record_index WHERE kind = $1 AND name = $2 AND value = $3"
	" AND account = $4 AND region = $5")

META_STATEMENT(RECORDS_OF_ACCOUNT,
	"SELECT kind, region, id, version FROM records WHERE account = $1 ORDER BY kind, region, id")
META_STATEMENT(RECORDS_OF_KIND, "SELECT " RECORD_COLUMNS " FROM records r WHERE r.kind = $1")
META_STATEMENT(RECORDS_ALL, "SELECT " RECORD_COLUMNS ", r.kind FROM records r")

META_STATEMENT(INDEX_OF_RECORD,
	"SELECT name, value, is_unique FROM record_index" RECORD_BY_KEY " ORDER BY name, value")
META_STATEMENT(INDEX_INSERT,
	"INSERT INTO record_index (kind, name, value, account, region, id, is_unique)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING")
META_STATEMENT(INDEX_DELETE,
	"DELETE FROM record_index"
	" WHERE kind = $1 AND name = $2 AND value = $3 AND account = $4 AND region = $5 AND id = $6")
META_STATEMENT(INDEX_DELETE_RECORD, "DELETE FROM record_index" RECORD_BY_KEY)
META_STATEMENT(INDEX_DELETE_KIND, "DELETE FROM record_index WHERE kind = $1")
META_STATEMENT(INDEX_ORPHANS,
	"SELECT x.kind, x.account, x.region, x.id, x.name FROM record_index x WHERE NOT EXISTS"
	" (SELECT 1 FROM records r WHERE r.kind = x.kind AND r.account = x.account AND r.region = x.region"
	" AND r.id = x.id)")
META_STATEMENT(KIND_INDEXES, "SELECT indexes FROM record_kinds WHERE kind = $1")
META_STATEMENT(KIND_FORGET, "DELETE FROM record_kinds WHERE kind = $1")
META_STATEMENT(KIND_INSERT, "INSERT INTO record_kinds (kind, indexes) VALUES ($1, $2)")

META_STATEMENT(CHANGE_APPEND,
	"INSERT INTO change_log (sequence, time_ms, kind, account, region, id, deleted)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7)")
META_STATEMENT(CHANGES_AFTER,
	"SELECT sequence, time_ms, kind, account, region, id, deleted FROM change_log"
	" WHERE sequence > $1 ORDER BY sequence LIMIT $2")
META_STATEMENT(CHANGE_ENDS,
	"SELECT (SELECT COALESCE(MIN(sequence), 1) FROM change_log),"
	" (SELECT COALESCE(MAX(sequence), 0) FROM change_log)")
META_STATEMENT(CHANGE_RECENT,
	"SELECT sequence FROM change_log WHERE sequence >= $1 AND sequence < $2 AND time_ms >= $3"
	" ORDER BY sequence LIMIT 1")
META_STATEMENT(CHANGES_FORGET, "DELETE FROM change_log WHERE sequence < $1")
META_STATEMENT(CHANGE_COUNT,
	"SELECT COUNT(*), COALESCE(MIN(sequence), 1), COALESCE(MAX(sequence), 0) FROM change_log")

#undef RECORD_COLUMNS
#undef RECORD_BY_KEY
#undef BY_INDEX
#undef LIST_ORDER
#undef INDEX_ORDER
