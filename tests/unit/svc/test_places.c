/* What an account finds without having made it: regions, zones, instance types, the default network, its limits, itself. */
#include "handlers.h"

#include <pthread.h>

#include "api/sts.h"
#include "svc/instance_types.h"
#include "svc/network.h"

static struct ec2_RegionList regions(struct scene *s, struct ec2_DescribeRegionsRequest request)
{
	struct ec2_DescribeRegionsResult result;

	assert_ok(RUN(s, DescribeRegions, ec2_describe_regions, &request, &result));
	return result.regions;
}

static struct ec2_InstanceTypeInfoList types(struct scene *s, struct ec2_DescribeInstanceTypesRequest request)
{
	struct ec2_DescribeInstanceTypesResult result;

	assert_ok(RUN(s, DescribeInstanceTypes, ec2_describe_instance_types, &request, &result));
	return result.instance_types;
}

static struct ec2_SubnetList subnets(struct scene *s, struct ec2_DescribeSubnetsRequest request)
{
	struct ec2_DescribeSubnetsResult result;

	assert_ok(RUN(s, DescribeSubnets, ec2_describe_subnets, &request, &result));
	return result.subnets;
}

static void regions_are_those_that_are_served(void **state)
{
	struct scene *s = *state;
	struct ec2_RegionList list = regions(s, (struct ec2_DescribeRegionsRequest){ 0 });

	assert_int_equal(list.count, 2);
	assert_string_equal(list.items[0].region_name, "us-east-1");
	assert_string_equal(list.items[0].endpoint, "127.0.0.1:4566");
	list = regions(
		s, (struct ec2_DescribeRegionsRequest){ .filters = FILTER("region-name", "us-west-*") });
	assert_int_equal(list.count, 1);
	list = regions(s, (struct ec2_DescribeRegionsRequest){ .region_names = STRINGS("us-west-2") });
	assert_int_equal(list.count, 1);
	struct ec2_DescribeRegionsRequest request = { .region_names = STRINGS("mars-1") };
	struct ec2_DescribeRegionsResult result;
	assert_error(RUN(s, DescribeRegions, ec2_describe_regions, &request, &result),
		ERROR_INVALID_PARAMETER_VALUE);
}

static void zones_have_the_ids_of_aws(void **state)
{
	struct scene *s = *state;
	struct ec2_DescribeAvailabilityZonesRequest request = { 0 };
	struct ec2_DescribeAvailabilityZonesResult result;

	assert_ok(RUN(s, DescribeAvailabilityZones, ec2_describe_availability_zones, &request, &result));
	assert_int_equal(result.availability_zones.count, 3);
	assert_string_equal(result.availability_zones.items[2].zone_name, "us-east-1c");
	assert_string_equal(result.availability_zones.items[2].zone_id, "use1-az3");
	assert_string_equal(result.availability_zones.items[2].state, "available");
	request = (struct ec2_DescribeAvailabilityZonesRequest){ .zone_ids = STRINGS("use1-az2") };
	assert_ok(RUN(s, DescribeAvailabilityZones, ec2_describe_availability_zones, &request, &result));
	assert_string_equal(result.availability_zones.items[0].zone_name, "us-east-1b");
	request = (struct ec2_DescribeAvailabilityZonesRequest){ .zone_names = STRINGS("us-west-2a") };
	assert_error(RUN(s, DescribeAvailabilityZones, ec2_describe_availability_zones, &request, &result),
		ERROR_INVALID_PARAMETER_VALUE);
}

static void instance_types_are_sorted_and_found(void **state)
{
	(void)state;
	for (const struct instance_type *type = instance_types; type->name; type++) {
		assert_ptr_equal(instance_type_find(type->name), type);
		if (type > instance_types)
			assert_true(strcmp(type[-1].name, type->name) < 0);
		assert_true(type->memory_mib >= 96 && type->cores >= 1 && type->vcpus % type->cores == 0);
		assert_true(type->max_volumes > 0);
	}
	assert_int_equal(instance_type_find("t3.micro")->memory_mib, 1024);
	assert_null(instance_type_find("t3"));
}

static void instance_types_are_described_and_filtered(void **state)
{
	struct scene *s = *state;
	struct ec2_InstanceTypeInfoList list = types(s,
		(struct ec2_DescribeInstanceTypesRequest){
			.instance_types = STRINGS("m1.small", "t3.micro") });

	assert_int_equal(list.count, 2);
	assert_int_equal(list.items[0].supported_virtualization_types.count, 2);
	assert_int_equal(list.items[0].instance_storage_info->total_size_in_gb.value, 160);
	assert_int_equal(list.items[1].memory_info->size_in_mi_b.value, 1024);
	assert_int_equal(list.items[1].vcpu_info->default_vcpus.value, 2);
	assert_int_equal(list.items[1].vcpu_info->default_threads_per_core.value, 2);
	assert_string_equal(list.items[1].hypervisor, "nitro");
	list = types(s,
		(struct ec2_DescribeInstanceTypesRequest){
			.filters = FILTER("memory-info.size-in-mib", "1740") });
	assert_int_equal(list.count, 1);
	list = types(s,
		(struct ec2_DescribeInstanceTypesRequest){
			.filters = FILTER("supported-virtualization-type", "paravirtual") });
	assert_int_equal(list.count, 2);
	list = types(s,
		(struct ec2_DescribeInstanceTypesRequest){ .filters = FILTER("free-tier-eligible", "true") });
	assert_int_equal(list.count, 2);
	struct ec2_DescribeInstanceTypesRequest request = { .instance_types = STRINGS("t3.none") };
	struct ec2_DescribeInstanceTypesResult result;
	assert_error(RUN(s, DescribeInstanceTypes, ec2_describe_instance_types, &request, &result),
		ERROR_INSTANCE_TYPE);
}

static void types_are_offered_in_every_zone(void **state)
{
	struct scene *s = *state;
	struct ec2_DescribeInstanceTypeOfferingsRequest request = {
		.location_type = "availability-zone",
		.filters = FILTER("instance-type", "t3.micro"),
	};
	struct ec2_DescribeInstanceTypeOfferingsResult result;

	assert_ok(RUN(
		s, DescribeInstanceTypeOfferings, ec2_describe_instance_type_offerings, &request, &result));
	assert_int_equal(result.instance_type_offerings.count, 3);
	assert_string_equal(result.instance_type_offerings.items[1].location, "us-east-1b");
	request.location_type = NULL;
	assert_ok(RUN(
		s, DescribeInstanceTypeOfferings, ec2_describe_instance_type_offerings, &request, &result));
	assert_int_equal(result.instance_type_offerings.count, 1);
	assert_string_equal(result.instance_type_offerings.items[0].location, "us-east-1");
	request.location_type = "outpost";
	assert_error(RUN(s, DescribeInstanceTypeOfferings, ec2_describe_instance_type_offerings, &request,
			     &result),
		ERROR_INVALID_PARAMETER_VALUE);
}

static void pages_of_types_follow_each_other(void **state)
{
	struct scene *s = *state;
	struct ec2_DescribeInstanceTypesRequest request = { .max_results = some_integer(7) };
	struct ec2_DescribeInstanceTypesResult result;
	size_t all = types(s, (struct ec2_DescribeInstanceTypesRequest){ 0 }).count, seen = 0;
	const char *last = "";

	do {
		assert_ok(RUN(s, DescribeInstanceTypes, ec2_describe_instance_types, &request, &result));
		for (size_t i = 0; i < result.instance_types.count; i++) {
			assert_true(strcmp(last, result.instance_types.items[i].instance_type) < 0);
			last = result.instance_types.items[i].instance_type;
		}
		seen += result.instance_types.count;
		request.next_token = result.next_token;
	} while (request.next_token);
	assert_int_equal(seen, all);
}

static void every_account_and_region_has_a_default_network(void **state)
{
	struct scene *s = *state;
	struct ec2_DescribeVpcsRequest request = { .filters = FILTER("is-default", "true") };
	struct ec2_DescribeVpcsResult east, west;

	assert_ok(RUN(s, DescribeVpcs, ec2_describe_vpcs, &request, &east));
	assert_int_equal(east.vpcs.count, 1);
	assert_string_equal(east.vpcs.items[0].cidr_block, "172.31.0.0/16");
	assert_string_equal(east.vpcs.items[0].state, "available");
	s->call.region = "us-west-2";
	assert_ok(RUN(s, DescribeVpcs, ec2_describe_vpcs, &request, &west));
	assert_string_not_equal(east.vpcs.items[0].vpc_id, west.vpcs.items[0].vpc_id);
}

static void the_default_network_is_made_once(void **state)
{
	struct scene *s = *state;
	int64_t before = meta_last_change(s->meta);

	assert_int_equal(network_ensure_default(&s->amid, "111111111111", "us-east-1", &s->err), 0);
	int64_t changes = meta_last_change(s->meta);
	assert_int_equal(changes - before, 5); /* a VPC, three subnets, a group */
	assert_int_equal(network_ensure_default(&s->amid, "111111111111", "us-east-1", &s->err), 0);
	assert_int_equal(meta_last_change(s->meta), changes);
}

static void *ensure_network(void *argument)
{
	struct scene *s = argument;
	struct error err;

	return network_ensure_default(&s->amid, "111111111111", "us-east-1", &err) == 0 ? s : NULL;
}

static void threads_that_make_it_at_once_make_one(void **state)
{
	struct scene *s = *state;
	pthread_t threads[8];
	int64_t before = meta_last_change(s->meta);
	void *ended;

	for (size_t i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ensure_network, s), 0);
	for (size_t i = 0; i < 8; i++) {
		pthread_join(threads[i], &ended);
		assert_ptr_equal(ended, s);
	}
	assert_int_equal(meta_last_change(s->meta) - before, 5);
}

static void subnets_count_their_free_addresses(void **state)
{
	struct scene *s = *state;
	struct ec2_SubnetList list = subnets(s, (struct ec2_DescribeSubnetsRequest){ 0 });

	assert_int_equal(list.count, 3);
	for (size_t i = 0; i < list.count; i++) {
		assert_int_equal(list.items[i].available_ip_address_count.value, 4091);
		assert_true(list.items[i].map_public_ip_on_launch.value);
	}
	struct instance_record instance = {
		.record = { .account = s->call.account,
			.region = s->call.region,
			.id = "i-0123456789abcdef0" },
		.state = "running",
		.vpc = list.items[0].vpc_id,
		.subnet = list.items[0].subnet_id,
		.private_address = "172.31.0.10",
	};
	scene_put(s, &record_instance, &instance);
	list = subnets(s, (struct ec2_DescribeSubnetsRequest){ .subnet_ids = STRINGS(instance.subnet) });
	assert_int_equal(list.items[0].available_ip_address_count.value, 4090);
	list = subnets(s,
		(struct ec2_DescribeSubnetsRequest){ .filters = FILTER("availability-zone", "us-east-1b") });
	assert_int_equal(list.count, 1);
	assert_string_equal(list.items[0].cidr_block, "172.31.16.0/20");
	assert_string_equal(list.items[0].availability_zone_id, "use1-az2");
}

static void ids_that_are_not_there_are_errors(void **state)
{
	struct scene *s = *state;
	struct ec2_DescribeVpcsRequest of_vpcs = { .vpc_ids = STRINGS("vpc-12345678") };
	struct ec2_DescribeVpcsResult vpcs;
	struct ec2_DescribeSubnetsRequest of_subnets = { .subnet_ids = STRINGS("subnet-12345678") };
	struct ec2_DescribeSubnetsResult result;

	assert_error(RUN(s, DescribeVpcs, ec2_describe_vpcs, &of_vpcs, &vpcs), ERROR_VPC_NOT_FOUND);
	assert_error(
		RUN(s, DescribeSubnets, ec2_describe_subnets, &of_subnets, &result), ERROR_SUBNET_NOT_FOUND);
}

static void account_attributes_name_the_default_vpc(void **state)
{
	struct scene *s = *state;
	struct ec2_DescribeAccountAttributesRequest request = { .attribute_names = STRINGS("default-vpc") };
	struct ec2_DescribeAccountAttributesResult result;

	assert_ok(RUN(s, DescribeAccountAttributes, ec2_describe_account_attributes, &request, &result));
	assert_int_equal(result.account_attributes.count, 1);
	assert_string_equal(result.account_attributes.items[0].attribute_values.items[0].attribute_value,
		network_default_vpc_id("111111111111", "us-east-1", s->arena));
	request = (struct ec2_DescribeAccountAttributesRequest){ 0 };
	assert_ok(RUN(s, DescribeAccountAttributes, ec2_describe_account_attributes, &request, &result));
	assert_int_equal(result.account_attributes.count, 6);
	request = (struct ec2_DescribeAccountAttributesRequest){ .attribute_names = STRINGS("colour") };
	assert_error(RUN(s, DescribeAccountAttributes, ec2_describe_account_attributes, &request, &result),
		ERROR_INVALID_PARAMETER_VALUE);
}

static void callers_are_told_who_they_are(void **state)
{
	struct scene *s = *state;
	struct sts_GetCallerIdentityRequest request = { 0 };
	struct sts_GetCallerIdentityResponse result;

	assert_ok(scene_run(s, &sts_operation_GetCallerIdentity,
		(int (*)(struct call *, const void *, void *, struct error *))(void *)sts_get_caller_identity,
		&request, &result));
	assert_string_equal(result.account, "111111111111");
	assert_string_equal(result.arn, "arn:aws:iam::111111111111:user/tester");
	assert_string_equal(result.user_id, "AIDATESTER");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(regions_are_those_that_are_served),
		SCENE_TEST(zones_have_the_ids_of_aws),
		SCENE_TEST(instance_types_are_sorted_and_found),
		SCENE_TEST(instance_types_are_described_and_filtered),
		SCENE_TEST(types_are_offered_in_every_zone),
		SCENE_TEST(pages_of_types_follow_each_other),
		SCENE_TEST(every_account_and_region_has_a_default_network),
		SCENE_TEST(the_default_network_is_made_once),
		SCENE_TEST(threads_that_make_it_at_once_make_one),
		SCENE_TEST(subnets_count_their_free_addresses),
		SCENE_TEST(ids_that_are_not_there_are_errors),
		SCENE_TEST(account_attributes_name_the_default_vpc),
		SCENE_TEST(callers_are_told_who_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
