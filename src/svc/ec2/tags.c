/*
 * CreateTags, DeleteTags, DescribeTags for every kind of resource.
 *
 * A table tells from an id's prefix which kind of record it is and where that record keeps its tags. A call reads each record once, changes the tags of all
 * resources named, and puts the changed records in one batch: all or nothing. Rules of security groups have their tags inside the record of their group, so several
 * resources of a call may share one record. Runs on the thread of the call.
 */
#include "svc/ec2/describe.h"
#include "svc/network.h"
#include "base/banned.h"

enum {
	RESOURCES_MAX = 1000,
	REQUEST_TAGS_MAX = 50,
};

struct taggable {
	const char *prefix;
	const char *type; /* as DescribeTags shows it */
	const struct record_kind *kind;
	size_t tags; /* offset in the record */
	enum error_code not_found;
	const char *message; /* with the id for %s */
};

#define NOT_FOUND_ID(what) "The " what " ID '%.64s' does not exist"

static const struct taggable taggables[] = {
	{ "ami", "image", &record_image, offsetof(struct image_record, tags), ERROR_AMI_ID_NOT_FOUND,
		"The image id '[%.64s]' does not exist" },
	{ "i", "instance", &record_instance, offsetof(struct instance_record, tags), ERROR_INSTANCE_NOT_FOUND,
		NOT_FOUND_ID("instance") },
	{ "key", "key-pair", &record_key_pair, offsetof(struct key_pair_record, tags),
		ERROR_KEY_PAIR_NOT_FOUND, NOT_FOUND_ID("key pair") },
	{ "replacevol", "replace-root-volume-task", &record_root_replacement,
		offsetof(struct root_replacement_record, tags), ERROR_REPLACE_TASK_NOT_FOUND,
		NOT_FOUND_ID("replace root volume task") },
	{ "sg", "security-group", &record_security_group, offsetof(struct security_group_record, tags),
		ERROR_GROUP_NOT_FOUND, "The security group '%.64s' does not exist" },
	{ "snap", "snapshot", &record_snapshot, offsetof(struct snapshot_record, tags),
		ERROR_SNAPSHOT_NOT_FOUND, "The snapshot '%.64s' does not exist." },
	{ "subnet", "subnet", &record_subnet, offsetof(struct subnet_record, tags), ERROR_SUBNET_NOT_FOUND,
		NOT_FOUND_ID("subnet") },
	{ "vol", "volume", &record_volume, offsetof(struct volume_record, tags), ERROR_VOLUME_NOT_FOUND,
		"The volume '%.64s' does not exist." },
	{ "vpc", "vpc", &record_vpc, offsetof(struct vpc_record, tags), ERROR_VPC_NOT_FOUND,
		NOT_FOUND_ID("vpc") },
};

static const char rule_prefix[] = "sgr-";
static const char rule_type[] = "security-group-rule";

/* A record that a call changes. */
struct loaded {
	const struct record_kind *kind;
	struct record *record;
	bool changed;
};

/* One resource of a call: where its tags are, and in which loaded record. */
struct target {
	size_t loaded;
	struct record_tag_list *tags;
};

struct tagging {
	struct loaded *loaded;
	size_t loaded_count;
	struct target *targets;
	size_t target_count;
};

static const struct taggable *find_taggable(const char *id)
{
	size_t size = strcspn(id, "-");

	for (size_t i = 0; i < sizeof taggables / sizeof taggables[0] && id[size] == '-'; i++)
		if (strlen(taggables[i].prefix) == size && memcmp(taggables[i].prefix, id, size) == 0)
			return &taggables[i];
	return NULL;
}

static struct record_tag_list *tags_of(const struct taggable *taggable, struct record *record)
{
	return (void *)((char *)record + taggable->tags);
}

/* What is in the recycle bin is not there for anything but the bin. */
static bool is_recycled(const struct taggable *taggable, const struct record *record)
{
	if (taggable->kind == &record_snapshot)
		return ((const struct snapshot_record *)(const void *)record)->recycled;
	return taggable->kind == &record_image &&
		((const struct image_record *)(const void *)record)->recycled;
}

/* Remembers a record, unless it is there already: its index. */
static size_t remember(
	struct call *call, struct tagging *tagging, const struct record_kind *kind, struct record *record)
{
	for (size_t i = 0; i < tagging->loaded_count; i++)
		if (tagging->loaded[i].kind == kind && text_equal(tagging->loaded[i].record->id, record->id))
			return i;
	*ARENA_APPEND(call->arena, tagging->loaded, tagging->loaded_count) =
		(struct loaded){ .kind = kind, .record = record };
	return tagging->loaded_count - 1;
}

static void add_target(
	struct call *call, struct tagging *tagging, size_t loaded, struct record_tag_list *tags)
{
	*ARENA_APPEND(call->arena, tagging->targets, tagging->target_count) =
		(struct target){ .loaded = loaded, .tags = tags };
}

static int load_resource(struct call *call, const char *id, struct tagging *tagging, struct error *err)
{
	const struct taggable *taggable = find_taggable(id);
	struct record *record;

	if (!taggable)
		return error_set(err, ERROR_INVALID_ID, "The ID '%.64s' is not valid", id);
	if (EC2_GET(call, *taggable->kind, id, &record, err) != 0)
		return -1;
	if (!record || is_recycled(taggable, record))
		return error_set(err, taggable->not_found, taggable->message, id);
	size_t loaded = remember(call, tagging, taggable->kind, record);
	add_target(call, tagging, loaded, tags_of(taggable, tagging->loaded[loaded].record));
	return 0;
}

/* A rule's group is found by the index over the ids of its rules. */
static int load_rule(struct call *call, const char *id, struct tagging *tagging, struct error *err)
{
	struct meta_query query = {
		.account = call->account, .region = call->region, .index = "rule", .value = id
	};
	struct meta_rows rows;

	if (meta_list(call->amid->meta, &record_security_group, &query, call->arena, &rows, err) != 0)
		return -1;
	if (rows.count == 0)
		return error_set(err, ERROR_RULE_ID_NOT_FOUND,
			"The security group rule ID '%.64s' does not exist", id);
	size_t loaded = remember(call, tagging, &record_security_group, rows.items[0]);
	struct security_group_record *group = (void *)tagging->loaded[loaded].record;
	for (size_t i = 0; i < group->rules.count; i++)
		if (text_equal(group->rules.items[i].id, id))
			add_target(call, tagging, loaded, &group->rules.items[i].tags);
	return 0;
}

static int load_resources(
	struct call *call, const struct ec2_ResourceIdList *ids, struct tagging *tagging, struct error *err)
{
	if (ids->count == 0)
		return error_set(
			err, ERROR_MISSING_PARAMETER, "The request must contain the parameter resourceIdSet");
	if (ids->count > RESOURCES_MAX)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"A request may name %d resources at most", RESOURCES_MAX);
	if (network_ensure_default(call->amid, call->account, call->region, err) != 0)
		return -1;
	for (size_t i = 0; i < ids->count; i++) {
		const char *id = text_or(ids->items[i], "");
		if (text_starts_with(id, rule_prefix) ? load_rule(call, id, tagging, err)
						      : load_resource(call, id, tagging, err))
			return -1;
	}
	return 0;
}

/* Keys and values, and that no key comes twice. */
static int check_tags(const struct ec2_TagList *tags, struct error *err)
{
	if (tags->count > REQUEST_TAGS_MAX)
		return error_set(
			err, ERROR_TAG_LIMIT, "A request may have %d tags at most", REQUEST_TAGS_MAX);
	for (size_t i = 0; i < tags->count; i++) {
		if (ec2_check_tag(tags->items[i].key, tags->items[i].value, err) != 0)
			return -1;
		for (size_t j = 0; j < i; j++)
			if (text_equal(tags->items[i].key, tags->items[j].key))
				return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
					"Duplicate tag key '%s' specified.", tags->items[i].key);
	}
	return 0;
}

static int commit(struct call *call, const struct tagging *tagging, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);

	for (size_t i = 0; i < tagging->loaded_count; i++)
		if (tagging->loaded[i].changed)
			meta_batch_put(batch, tagging->loaded[i].kind, tagging->loaded[i].record);
	return meta_commit(call->amid->meta, batch, err);
}

static int set_tags(struct call *call, struct tagging *tagging, const struct target *target,
	const struct ec2_TagList *tags, struct error *err)
{
	for (size_t i = 0; i < tags->count; i++) {
		const char *value = text_or(tags->items[i].value, "");
		if (text_equal(ec2_tags_find(target->tags, tags->items[i].key), value))
			continue;
		if (ec2_tags_set(call, target->tags, tags->items[i].key, value, err) != 0)
			return -1;
		tagging->loaded[target->loaded].changed = true;
	}
	return 0;
}

int ec2_create_tags(struct call *call, const struct ec2_CreateTagsRequest *request,
	struct ec2_CreateTagsResult *result, struct error *err)
{
	struct tagging tagging = { 0 };

	(void)result;
	if (request->tags.count == 0)
		return error_set(
			err, ERROR_MISSING_PARAMETER, "The request must contain the parameter tagSet");
	if (check_tags(&request->tags, err) != 0 ||
		load_resources(call, &request->resources, &tagging, err) != 0)
		return -1;
	for (size_t i = 0; i < tagging.target_count; i++)
		if (set_tags(call, &tagging, &tagging.targets[i], &request->tags, err) != 0)
			return -1;
	return commit(call, &tagging, err);
}

/* A tag given with a value goes only if it has that value; without one, whatever it has. No tags given: all of them. */
static void delete_tags(struct tagging *tagging, const struct target *target, const struct ec2_TagList *tags)
{
	size_t before = target->tags->count;

	if (tags->count == 0)
		*target->tags = (struct record_tag_list){ 0 };
	for (size_t i = 0; i < tags->count; i++) {
		const struct ec2_Tag *tag = &tags->items[i];
		if (!tag->value || text_equal(ec2_tags_find(target->tags, tag->key), tag->value))
			ec2_tags_remove(target->tags, tag->key);
	}
	if (target->tags->count != before)
		tagging->loaded[target->loaded].changed = true;
}

int ec2_delete_tags(struct call *call, const struct ec2_DeleteTagsRequest *request,
	struct ec2_DeleteTagsResult *result, struct error *err)
{
	struct tagging tagging = { 0 };

	(void)result;
	if (check_tags(&request->tags, err) != 0 ||
		load_resources(call, &request->resources, &tagging, err) != 0)
		return -1;
	for (size_t i = 0; i < tagging.target_count; i++)
		delete_tags(&tagging, &tagging.targets[i], &request->tags);
	return commit(call, &tagging, err);
}

static const struct describe_kind shown_tags = {
	.shape = &ec2_shape_TagDescription,
	.key = "ResourceId",
	.second_key = "Key",
	.page_rules = { .min = 5, .max = 1000 },
	.filters =
		(const struct describe_filter[]){
			{ "key", "Key" },
			{ "resource-id", "ResourceId" },
			{ "resource-type", "ResourceType" },
			{ "value", "Value" },
			{ NULL },
		},
};

static void show_tags(struct call *call, const char *id, const char *type, const struct record_tag_list *tags,
	struct ec2_TagDescriptionList *list)
{
	for (size_t i = 0; i < tags->count; i++)
		*ARENA_APPEND(call->arena, list->items, list->count) = (struct ec2_TagDescription){
			.resource_id = id,
			.resource_type = type,
			.key = tags->items[i].key,
			.value = text_or(tags->items[i].value, ""),
		};
}

static void show_rule_tags(
	struct call *call, const struct security_group_record *group, struct ec2_TagDescriptionList *list)
{
	for (size_t i = 0; i < group->rules.count; i++)
		show_tags(call, group->rules.items[i].id, rule_type, &group->rules.items[i].tags, list);
}

/* All tags of the caller's resources of a kind. */
static int show_kind(struct call *call, const struct taggable *taggable, struct ec2_TagDescriptionList *list,
	struct error *err)
{
	struct meta_query query = { .account = call->account, .region = call->region };
	struct meta_rows rows;

	if (meta_list(call->amid->meta, taggable->kind, &query, call->arena, &rows, err) != 0)
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		struct record *record = rows.items[i];
		if (is_recycled(taggable, record))
			continue;
		show_tags(call, record->id, taggable->type, tags_of(taggable, record), list);
		if (taggable->kind == &record_security_group)
			show_rule_tags(call, rows.items[i], list);
	}
	return 0;
}

static int compare_shown(const void *left, const void *right)
{
	const struct ec2_TagDescription *a = left, *b = right;
	int order = strcmp(a->resource_id, b->resource_id);

	return order ? order : strcmp(a->key, b->key);
}

/*
 * "tag:KEY" and "tag-key" test the resource on most operations; of a single tag, "tag:KEY" asks for that key and value. It is split into the two filters that say so.
 */
static struct ec2_FilterList split_tag_filters(struct call *call, const struct ec2_FilterList *filters)
{
	struct ec2_FilterList list = { .set = filters->set };

	for (size_t i = 0; i < filters->count; i++) {
		const struct ec2_Filter *filter = &filters->items[i];
		struct ec2_Filter *made = ARENA_APPEND(call->arena, list.items, list.count);
		*made = *filter;
		if (!filter->name || !text_starts_with(filter->name, "tag:") || !filter->name[4])
			continue;
		made->name = "value";
		made = ARENA_APPEND(call->arena, list.items, list.count);
		made->name = "key";
		*ARENA_APPEND(call->arena, made->values.items, made->values.count) = filter->name + 4;
	}
	return list;
}

int ec2_describe_tags(struct call *call, const struct ec2_DescribeTagsRequest *request,
	struct ec2_DescribeTagsResult *result, struct error *err)
{
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };
	struct ec2_FilterList filters = split_tag_filters(call, &request->filters);

	for (size_t i = 0; i < sizeof taggables / sizeof taggables[0]; i++)
		if (show_kind(call, &taggables[i], &result->tags, err) != 0)
			return -1;
	if (result->tags.count)
		qsort(result->tags.items, result->tags.count, sizeof result->tags.items[0], compare_shown);
	return describe_finish(call, &shown_tags, &filters, &page, &result->tags, err);
}
