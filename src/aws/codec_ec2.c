/* The ec2 protocol: a form in, XML out. Requests: query_request.c. */
#include "aws/codec_internal.h"
#include "aws/xml.h"
#include "base/banned.h"

static void encode(const struct codec_request *request, const void *output, const char *request_id,
	struct http_response *response)
{
	const struct shape_operation *operation = request->operation->shape;
	struct buffer *body = &response->body;
	response->status = operation->http_status ? operation->http_status : 200;
	response->content_type = "text/xml;charset=UTF-8";
	buffer_append_text(body, XML_DECLARATION);
	buffer_printf(body, "<%sResponse xmlns=\"%s/\">", operation->name, request->service->xml_namespace);
	xml_write_element(body, "requestId", request_id);
	/* the model has no output for these, but EC2 says that all went well */
	if (!operation->output->member_count)
		xml_write_element(body, "return", "true");
	xml_write_members(body, PROTOCOL_EC2, request->arena, operation->output, output);
	buffer_printf(body, "</%sResponse>", operation->name);
}

static void encode_error(const struct service *service, const struct error *err, const char *request_id,
	struct arena *arena, struct http_response *response)
{
	struct buffer *body = &response->body;
	response->status = error_http_status(err->code);
	response->content_type = "text/xml;charset=UTF-8";
	buffer_append_text(body, XML_DECLARATION "<Response><Errors><Error>");
	xml_write_element(body, "Code", error_aws_code(err->code));
	xml_write_element(body, "Message",
		err->detail ? arena_printf(arena, "%s %s", err->message, err->detail) : err->message);
	buffer_append_text(body, "</Error></Errors>");
	xml_write_element(body, "RequestID", request_id);
	buffer_append_text(body, "</Response>");
}

const struct codec codec_ec2 = {
	.route = query_request_route,
	.decode = query_request_decode,
	.encode = encode,
	.encode_error = encode_error,
};
