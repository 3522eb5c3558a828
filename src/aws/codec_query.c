/* The query protocol (STS, IAM and others): a form in, XML with a result wrapper out. Requests: query_request.c. */
#include "aws/codec_internal.h"
#include "aws/xml.h"
#include "base/banned.h"

static void encode(const struct codec_request *request, const void *output, const char *request_id,
	struct http_response *response)
{
	const struct shape_operation *operation = request->operation->shape;
	struct buffer *body = &response->body;
	response->status = operation->http_status ? operation->http_status : 200;
	response->content_type = "text/xml";
	buffer_append_text(body, XML_DECLARATION);
	buffer_printf(body, "<%sResponse xmlns=\"%s\">", operation->name, request->service->xml_namespace);
	if (operation->result_wrapper)
		buffer_printf(body, "<%s>", operation->result_wrapper);
	xml_write_members(body, PROTOCOL_QUERY, request->arena, operation->output, output);
	if (operation->result_wrapper)
		buffer_printf(body, "</%s>", operation->result_wrapper);
	buffer_append_text(body, "<ResponseMetadata>");
	xml_write_element(body, "RequestId", request_id);
	buffer_printf(body, "</ResponseMetadata></%sResponse>", operation->name);
}

static void encode_error(const struct service *service, const struct error *err, const char *request_id,
	struct arena *arena, struct http_response *response)
{
	struct buffer *body = &response->body;
	response->status = error_http_status(err->code);
	response->content_type = "text/xml";
	buffer_append_text(body, XML_DECLARATION);
	buffer_printf(body, "<ErrorResponse xmlns=\"%s\"><Error>", service->xml_namespace);
	xml_write_element(body, "Type", response->status < 500 ? "Sender" : "Receiver");
	xml_write_element(body, "Code", error_aws_code(err->code));
	xml_write_element(body, "Message", err->message);
	buffer_append_text(body, "</Error>");
	xml_write_element(body, "RequestId", request_id);
	buffer_append_text(body, "</ErrorResponse>");
}

const struct codec codec_query = {
	.route = query_request_route,
	.decode = query_request_decode,
	.encode = encode,
	.encode_error = encode_error,
};
