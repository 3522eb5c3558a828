/*
 * Reads what a signed request claims: who signed it, when, for which region and service, over which headers.
 *
 * In the header:
 *	Authorization: AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders=a;b, Signature=HEX
 * with the time in X-Amz-Date (or Date); presigned, the same parts are the parameters X-Amz-Credential, X-Amz-SignedHeaders, X-Amz-Signature, X-Amz-Date and
 * X-Amz-Expires of the query string. Constant data only; runs on the connection's thread.
 */
#include "aws/sigv4.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "base/banned.h"

enum { KEY_ID_MAX = 128, SCOPE_PART_MAX = 64 };

bool sigv4_is_present(const struct http_request *http)
{
	return http_request_header(http, "Authorization") || strstr(http->query, "X-Amz-Algorithm=");
}

static bool is_plain_word(const char *text, size_t max)
{
	size_t size = strlen(text);
	if (size == 0 || size > max)
		return false;
	for (const char *p = text; *p; p++)
		if (!isgraph((unsigned char)*p) || *p == '"' || *p == '=')
			return false;
	return true;
}

/* KEY/DATE/REGION/SERVICE/aws4_request */
static int parse_credential(
	const char *credential, struct arena *arena, struct sigv4_signature *signature, struct error *err)
{
	size_t count;
	char **parts = text_split(arena, credential, '/', &count);
	if (count != 5 || strcmp(parts[4], "aws4_request") != 0)
		return error_set(err, ERROR_INCOMPLETE_SIGNATURE,
			"Credential must have the form <access key>/<date>/<region>/<service>/aws4_request.");
	for (size_t i = 0; i < 4; i++)
		if (!is_plain_word(parts[i], i == 0 ? KEY_ID_MAX : SCOPE_PART_MAX))
			return error_set(err, ERROR_INCOMPLETE_SIGNATURE,
				"Part %zu of Credential is empty, too long or holds a "
				"character that is not allowed.",
				i + 1);
	signature->access_key_id = parts[0];
	signature->date = parts[1];
	signature->region = parts[2];
	signature->service = parts[3];
	return 0;
}

static int two_digits(const char *text)
{
	return (text[0] - '0') * 10 + text[1] - '0';
}

/* "20261121T070000Z", which must be of the scope's day */
static int parse_timestamp(const char *timestamp, struct sigv4_signature *signature, struct error *err)
{
	static const char form[] = "ddddddddTddddddZ";
	bool valid = strlen(timestamp) == sizeof form - 1;
	for (size_t i = 0; valid && form[i]; i++)
		valid = form[i] == 'd' ? timestamp[i] >= '0' && timestamp[i] <= '9' : timestamp[i] == form[i];
	if (!valid)
		return error_set(err, ERROR_INCOMPLETE_SIGNATURE,
			"Date must be in ISO-8601 'basic format', such as 20261121T070000Z.");
	struct tm tm = {
		.tm_year = two_digits(timestamp) * 100 + two_digits(timestamp + 2) - 1900,
		.tm_mon = two_digits(timestamp + 4) - 1,
		.tm_mday = two_digits(timestamp + 6),
		.tm_hour = two_digits(timestamp + 9),
		.tm_min = two_digits(timestamp + 11),
		.tm_sec = two_digits(timestamp + 13),
	};
	struct tm given = tm;
	time_t seconds = timegm(&tm);
	if (tm.tm_mon != given.tm_mon || tm.tm_mday != given.tm_mday || tm.tm_hour != given.tm_hour ||
		tm.tm_min != given.tm_min)
		return error_set(err, ERROR_INCOMPLETE_SIGNATURE, "Date '%s' does not exist.", timestamp);
	if (strncmp(timestamp, signature->date, 8) != 0 || signature->date[8])
		return error_set(err, ERROR_SIGNATURE_MISMATCH,
			"Date in Credential scope does not match YYYYMMDD from "
			"ISO-8601 version of date from HTTP.");
	signature->timestamp = timestamp;
	signature->signed_ms = (int64_t)seconds * 1000;
	return 0;
}

/* "host;x-amz-date": must name the host, so that a request cannot be replayed elsewhere. */
static int parse_signed_headers(
	const char *list, struct arena *arena, struct sigv4_signature *signature, struct error *err)
{
	char **names = text_split(arena, list, ';', &signature->signed_header_count);
	bool has_host = false;
	if (signature->signed_header_count > SIGV4_SIGNED_HEADERS_MAX)
		return error_set(err, ERROR_INCOMPLETE_SIGNATURE, "SignedHeaders names more than %d headers.",
			SIGV4_SIGNED_HEADERS_MAX);
	for (size_t i = 0; i < signature->signed_header_count; i++) {
		for (const char *p = names[i]; *p; p++)
			if (!isgraph((unsigned char)*p) || isupper((unsigned char)*p) || *p == ':')
				return error_set(err, ERROR_INCOMPLETE_SIGNATURE,
					"SignedHeaders must be names in lower case.");
		has_host = has_host || strcmp(names[i], "host") == 0;
	}
	if (!has_host)
		return error_set(err, ERROR_SIGNATURE_MISMATCH,
			"'Host' must be a 'SignedHeader' in the AWS Authorization.");
	signature->signed_headers = names;
	return 0;
}

static int parse_mac(const char *hex, struct sigv4_signature *signature, struct error *err)
{
	if (strlen(hex) != 2 * DIGEST_SIZE || text_unhex(hex, signature->mac.bytes, DIGEST_SIZE) < 0)
		return error_set(err, ERROR_INCOMPLETE_SIGNATURE, "Signature must be 64 hexadecimal digits.");
	return 0;
}

/* The three fields of the Authorization header, however they are spaced and ordered. */
struct fields {
	const char *credential, *signed_headers, *mac;
};

static int split_authorization(
	const char *text, struct arena *arena, struct fields *fields, struct error *err)
{
	const struct {
		const char *name;
		const char **value;
	} known[] = {
		{ "Credential=", &fields->credential },
		{ "SignedHeaders=", &fields->signed_headers },
		{ "Signature=", &fields->mac },
	};
	while (*(text += strspn(text, " \t,"))) {
		size_t size = strcspn(text, " \t,"), i = 0;
		while (i < 3 && strncmp(text, known[i].name, strlen(known[i].name)) != 0)
			i++;
		if (i == 3 || *known[i].value)
			return error_set(err, ERROR_INCOMPLETE_SIGNATURE,
				"Authorization header has a part that is unknown or given twice.");
		size_t skip = strlen(known[i].name);
		*known[i].value = arena_strndup(arena, text + skip, size - skip);
		text += size;
	}
	for (size_t i = 0; i < 3; i++)
		if (!*known[i].value)
			return error_set(err, ERROR_INCOMPLETE_SIGNATURE,
				"Authorization header requires '%.*s' parameter.",
				(int)strlen(known[i].name) - 1, known[i].name);
	return 0;
}

static int parse_header(const struct http_request *http, const char *authorization, struct arena *arena,
	struct sigv4_signature *signature, struct error *err)
{
	static const char algorithm[] = SIGV4_ALGORITHM;
	size_t size = sizeof algorithm - 1;
	if (strncmp(authorization, algorithm, size) != 0 ||
		(authorization[size] && authorization[size] != ' '))
		return error_set(err, ERROR_INCOMPLETE_SIGNATURE,
			"Authorization header must begin with '%s'.", algorithm);
	struct fields fields = { 0 };
	if (split_authorization(authorization + size, arena, &fields, err) < 0)
		return -1;
	const char *date = http_request_header(http, "X-Amz-Date");
	if (!date)
		date = http_request_header(http, "Date");
	if (!date)
		return error_set(err, ERROR_INCOMPLETE_SIGNATURE,
			"Authorization header requires existence of either a "
			"'X-Amz-Date' or a 'Date' header.");
	signature->security_token = http_request_header(http, "X-Amz-Security-Token");
	if (parse_credential(fields.credential, arena, signature, err) < 0 ||
		parse_timestamp(date, signature, err) < 0 ||
		parse_signed_headers(fields.signed_headers, arena, signature, err) < 0)
		return -1;
	return parse_mac(fields.mac, signature, err);
}

static int require_parameter(
	const struct http_parameters *parameters, const char *name, const char **value, struct error *err)
{
	*value = http_parameter(parameters, name);
	if (!*value || !**value)
		return error_set(err, ERROR_INCOMPLETE_SIGNATURE,
			"A presigned request requires the parameter %s.", name);
	return 0;
}

static int parse_presigned(const struct http_request *http, struct arena *arena,
	struct sigv4_signature *signature, struct error *err)
{
	struct http_parameters parameters = { 0 };
	const char *algorithm, *credential, *date, *expires, *headers, *mac;
	if (http_parse_parameters(arena, http->query, strlen(http->query), &parameters) < 0)
		return error_set(err, ERROR_INCOMPLETE_SIGNATURE, "The query string is malformed.");
	if (require_parameter(&parameters, "X-Amz-Algorithm", &algorithm, err) < 0 ||
		require_parameter(&parameters, "X-Amz-Credential", &credential, err) < 0 ||
		require_parameter(&parameters, "X-Amz-Date", &date, err) < 0 ||
		require_parameter(&parameters, "X-Amz-Expires", &expires, err) < 0 ||
		require_parameter(&parameters, "X-Amz-SignedHeaders", &headers, err) < 0 ||
		require_parameter(&parameters, "X-Amz-Signature", &mac, err) < 0)
		return -1;
	if (strcmp(algorithm, SIGV4_ALGORITHM) != 0)
		return error_set(
			err, ERROR_INCOMPLETE_SIGNATURE, "X-Amz-Algorithm must be '%s'.", SIGV4_ALGORITHM);
	if (text_parse_int64(expires, &signature->expires_s) < 0 || signature->expires_s < 1 ||
		signature->expires_s > SIGV4_EXPIRES_MAX)
		return error_set(err, ERROR_INCOMPLETE_SIGNATURE,
			"X-Amz-Expires must be a number of seconds from 1 to %d.", SIGV4_EXPIRES_MAX);
	signature->presigned = true;
	signature->security_token = http_parameter(&parameters, "X-Amz-Security-Token");
	if (parse_credential(credential, arena, signature, err) < 0 ||
		parse_timestamp(date, signature, err) < 0 ||
		parse_signed_headers(headers, arena, signature, err) < 0)
		return -1;
	return parse_mac(mac, signature, err);
}

int sigv4_parse(const struct http_request *http, struct arena *arena, struct sigv4_signature *signature,
	struct error *err)
{
	memset(signature, 0, sizeof *signature);
	const char *authorization = http_request_header(http, "Authorization");
	return authorization ? parse_header(http, authorization, arena, signature, err)
			     : parse_presigned(http, arena, signature, err);
}
