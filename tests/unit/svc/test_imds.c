/* The role of an instance in its metadata: what is listed, whose credentials are given, when they are new ones, and when there are none. How far tokens travel. */
#include "identity.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aws/http.h"
#include "base/clock.h"
#include "svc/imds/imds.h"
#include "svc/imds/internal.h"

#define ROLE_ID "AROAWORKER"
#define TRUST(service) \
	"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"" service \
	"\"},\"Action\":\"sts:AssumeRole\"}]}"

static struct record_profile_use use = { .profile = "AIPAWORKERS",
	.arn = "arn:aws:iam::" OURS ":instance-profile/workers",
	.association = "iip-assoc-0123456789abcdef0",
	.associated = { .ms = 1000000000999, .set = true } };
static const struct instance_record instance = {
	.record = { .account = OURS, .region = "us-east-1", .id = "i-0123456789abcdef0" },
	.state = "running",
	.vpc = "vpc-1",
	.subnet = "subnet-1",
	.private_address = "172.31.0.5",
	.mac = "02:00:00:00:00:01",
	.root_device_name = "/dev/sda1",
	.profile = &use,
};

static void put_profile(struct scene *s, const char *role)
{
	const struct instance_profile_record profile = {
		.record = { .account = OURS, .region = "", .id = "AIPAWORKERS" },
		.name = "workers",
		.key = "workers",
		.path = "/",
		.role = role
	};
	scene_put(s, &record_instance_profile, &profile);
}

static void put_all(struct scene *s)
{
	put_account(s, OURS);
	put_role(s, OURS, ROLE_ID, "worker", TRUST("ec2.amazonaws.com"));
	put_profile(s, ROLE_ID);
}

/* What there is at a path; NULL: nothing. */
static const char *leaf(struct scene *s, const struct instance_record *of, const char *path)
{
	struct imds_tree tree;
	const char *data;
	size_t size;
	if (imds_tree_build(&s->amid, of, s->arena, &tree, &s->err))
		fail_msg("%s", s->err.message);
	return imds_tree_find(&tree, path, s->arena, &data, &size) ? data : NULL;
}

static const char *ask(struct scene *s, struct imds_roles *roles, const char *role, const char *delivery)
{
	const char *document;
	if (imds_role_credentials(&s->amid, roles, &instance, role, delivery, s->arena, &document, &s->err))
		fail_msg("%s", s->err.message);
	return document;
}

static const char *member(struct scene *s, const char *document, const char *name)
{
	json_t *object = json_loads(document, 0, NULL);
	assert_non_null(object);
	const char *text = json_string_value(json_object_get(object, name));
	const char *copy = text ? arena_strdup(s->arena, text) : "";
	json_decref(object);
	return copy;
}

static void role_is_listed_while_the_profile_has_it(void **state)
{
	struct scene *s = *state;
	struct instance_record without = instance;
	put_all(s);
	assert_string_equal(leaf(s, &instance, "meta-data/iam"), "info\nsecurity-credentials/");
	assert_string_equal(leaf(s, &instance, "meta-data/iam/security-credentials"), "worker");
	const char *info = leaf(s, &instance, "meta-data/iam/info");
	assert_string_equal(member(s, info, "Code"), "Success");
	assert_string_equal(member(s, info, "InstanceProfileArn"), use.arn);
	assert_string_equal(member(s, info, "InstanceProfileId"), use.profile);
	assert_string_equal(member(s, info, "LastUpdated"), "2001-09-09T01:46:40Z");
	CHANGE(s, instance_profile, OURS, "AIPAWORKERS", role = NULL);
	assert_null(leaf(s, &instance, "meta-data/iam/security-credentials"));
	DELETE(s, instance_profile, OURS, "AIPAWORKERS");
	assert_string_equal(
		member(s, leaf(s, &instance, "meta-data/iam/info"), "Code"), "InstanceProfileNotFound");
	without.profile = NULL;
	assert_null(leaf(s, &without, "meta-data/iam"));
}

static void credentials_are_a_session_of_the_instance(void **state)
{
	struct scene *s = *state;
	struct imds_roles *roles = imds_roles_create();
	struct principal found;
	const char *secret;
	put_all(s);
	const char *document = ask(s, roles, "worker", "2.0");
	assert_string_equal(member(s, document, "Code"), "Success");
	assert_string_equal(member(s, document, "Type"), "AWS-HMAC");
	assert_int_equal(strlen(member(s, document, "Expiration")), strlen("2026-11-21T07:00:00Z"));
	if (session_open(&s->amid, member(s, document, "AccessKeyId"), member(s, document, "Token"), s->arena,
		    &found, &secret, &s->err))
		fail_msg("%s", s->err.message);
	assert_string_equal(secret, member(s, document, "SecretAccessKey"));
	assert_string_equal(found.arn, "arn:aws:sts::" OURS ":assumed-role/worker/i-0123456789abcdef0");
	assert_string_equal(found.id, ROLE_ID ":i-0123456789abcdef0");
	assert_string_equal(found.issuer_arn, "arn:aws:iam::" OURS ":role/worker");
	assert_non_null(found.instance);
	assert_string_equal(
		found.instance->arn, "arn:aws:ec2:us-east-1:" OURS ":instance/i-0123456789abcdef0");
	assert_string_equal(found.instance->vpc, "vpc-1");
	assert_string_equal(found.instance->private_address, "172.31.0.5");
	assert_string_equal(found.instance->delivery, "2.0");
	imds_roles_destroy(roles);
}

static void credentials_are_renewed_long_before_they_expire(void **state)
{
	struct scene *s = *state;
	struct imds_roles *roles = imds_roles_create();
	struct principal found;
	const char *secret;
	put_all(s);
	const char *first = ask(s, roles, "worker", "2.0");
	assert_string_not_equal(first, ask(s, roles, "worker", "1.0"));
	clock_advance(59 * 60 * 1000);
	assert_string_equal(first, ask(s, roles, "worker", "2.0"));
	clock_advance(2 * 60 * 1000);
	assert_string_not_equal(first, ask(s, roles, "worker", "2.0"));
	/* the earlier ones stay good for what is left of six hours */
	assert_int_equal(session_open(&s->amid, member(s, first, "AccessKeyId"), member(s, first, "Token"),
				 s->arena, &found, &secret, &s->err),
		0);
	assert_true(found.expires_ms > clock_now_ms() + 4 * 3600 * 1000);
	imds_roles_destroy(roles);
}

static void nothing_is_given_without_profile_role_or_trust(void **state)
{
	struct scene *s = *state;
	struct imds_roles *roles = imds_roles_create();
	put_all(s);
	assert_non_null(ask(s, roles, "worker", "2.0"));
	assert_null(ask(s, roles, "other", "2.0"));
	assert_null(ask(s, roles, "", "2.0"));
	CHANGE(s, iam_role, OURS, ROLE_ID, trust_policy = TRUST("lambda.amazonaws.com"));
	const char *refused = ask(s, roles, "worker", "2.0");
	assert_string_equal(member(s, refused, "Code"), "AssumeRoleUnauthorizedAccess");
	assert_string_equal(member(s, refused, "Token"), "");
	CHANGE(s, iam_role, OURS, ROLE_ID, trust_policy = TRUST("ec2.amazonaws.com"));
	CHANGE(s, instance_profile, OURS, "AIPAWORKERS", role = NULL);
	assert_null(ask(s, roles, "worker", "2.0"));
	/* another role under the same name is another role */
	put_role(s, OURS, "AROAOTHER", "other", TRUST("ec2.amazonaws.com"));
	CHANGE(s, instance_profile, OURS, "AIPAWORKERS", role = "AROAOTHER");
	assert_null(ask(s, roles, "worker", "2.0"));
	assert_string_equal(member(s, ask(s, roles, "other", "2.0"), "Code"), "Success");
	DELETE(s, instance_profile, OURS, "AIPAWORKERS");
	assert_null(ask(s, roles, "other", "2.0"));
	imds_roles_destroy(roles);
}

/* A service for one instance, which is at 127.0.0.1 of its VPC. */
static struct imds *open_service(struct scene *s, int64_t hop_limit, char *bound)
{
	struct record_metadata_options options = {
		.endpoint = "enabled", .tokens = "optional", .hop_limit = some_integer(hop_limit)
	};
	struct instance_record local = instance;
	struct imds *imds = NULL;
	int fd;
	local.private_address = "127.0.0.1";
	local.network_key = "vpc-1/127.0.0.1";
	local.metadata = &options;
	scene_put(s, &record_instance, &local);
	if (http_listen("127.0.0.1:0", &fd, bound, &s->err) || imds_open(&s->amid, &imds, &s->err))
		fail_msg("%s", s->err.message);
	imds_listen(imds, "vpc-1", fd);
	return imds;
}

/* Sends a request; the kernel drops what comes to the socket with fewer hops left than `min_ttl`, as a router further away would. */
static int send_request(const char *bound, int min_ttl, const char *request)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtol(strrchr(bound, ':') + 1, NULL, 10)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_MINTTL, &min_ttl, sizeof min_ttl), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
	return fd;
}

static const char *receive(struct scene *s, int fd)
{
	char *text = arena_alloc(s->arena, 4096);
	ssize_t got = recv(fd, text, 4095, 0);
	assert_true(got > 0);
	text[got] = '\0';
	return text;
}

/* How many packets this host has dropped for their TTL. */
static long dropped(void)
{
	char names[8192], numbers[8192];
	FILE *file = fopen("/proc/net/netstat", "re");
	long found = -1;
	assert_non_null(file);
	while (found < 0 && fgets(names, sizeof names, file) && fgets(numbers, sizeof numbers, file)) {
		char *rest_of_names, *rest_of_numbers;
		char *name = strtok_r(names, " \n", &rest_of_names);
		char *number = strtok_r(numbers, " \n", &rest_of_numbers);
		while (name && number && strcmp(name, "TCPMinTTLDrop") != 0) {
			name = strtok_r(NULL, " \n", &rest_of_names);
			number = strtok_r(NULL, " \n", &rest_of_numbers);
		}
		found = name && number ? strtol(number, NULL, 10) : -1;
	}
	fclose(file);
	return found;
}

#define PUT_TOKEN \
	"PUT /latest/api/token HTTP/1.1\r\nHost: x\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n"
#define GET_ID "GET /latest/meta-data/instance-id HTTP/1.1\r\nHost: x\r\n\r\n"

static void tokens_travel_as_far_as_the_hop_limit(void **state)
{
	struct scene *s = *state;
	char bound[HTTP_ADDRESS_SIZE];
	struct imds *imds = open_service(s, 3, bound);
	/* other answers travel any way; those behind a token's on the same connection do not */
	int far = send_request(bound, 64, GET_ID), near = send_request(bound, 3, PUT_TOKEN);
	assert_non_null(strstr(receive(s, far), "i-0123456789abcdef0"));
	assert_non_null(strstr(receive(s, near), "200 OK"));
	assert_int_equal(send(near, GET_ID, strlen(GET_ID), 0), strlen(GET_ID));
	assert_non_null(strstr(receive(s, near), "i-0123456789abcdef0"));
	long before = dropped();
	assert_int_equal(send(far, PUT_TOKEN, strlen(PUT_TOKEN), 0), strlen(PUT_TOKEN));
	struct pollfd arrival = { .fd = far, .events = POLLIN };
	for (int i = 0; dropped() - before < 3; i++) { /* the answer, sent again and again */
		assert_int_equal(poll(&arrival, 1, 10), 0);
		assert_true(i < 6000);
	}
	assert_int_equal(poll(&arrival, 1, 0), 0);
	close(near);
	close(far);
	imds_close(imds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(role_is_listed_while_the_profile_has_it),
		SCENE_TEST(credentials_are_a_session_of_the_instance),
		SCENE_TEST(credentials_are_renewed_long_before_they_expire),
		SCENE_TEST(tokens_travel_as_far_as_the_hop_limit),
		SCENE_TEST(nothing_is_given_without_profile_role_or_trust),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
