#include "backends/http_failure.h"

#include <errno.h>
#include <string.h>

#include "backends/http_reply.h"

static const char *reason_of(CURLcode code, const char *detail)
{
	/* It quotes the environment's proxy, with its login. */
	if (strncmp(detail, "Unsupported proxy", strlen("Unsupported proxy")) == 0)
		return "the proxy of the environment cannot be used";
	return *detail ? detail : curl_easy_strerror(code);
}

static void cannot_connect(CURL *easy, CURLcode code, const char *detail,
                           struct source_outcome *outcome)
{
	long os_errno = 0;
	char name[128];

	(void)curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_errno);
	if (os_errno > 0)
		(void)http_reply_outcome(outcome, SOURCE_FAILED, -EIO,
		                         "the server cannot be connected to: %s",
		                         strerror_r((int)os_errno, name, sizeof(name)));
	else
		(void)http_reply_outcome(outcome, SOURCE_FAILED, -EIO,
		                         "the server cannot be connected to: %s",
		                         reason_of(code, detail));
}

void http_failure_outcome(CURL *easy, CURLcode code, const char *detail,
                          struct source_outcome *outcome)
{
	const char *reason = reason_of(code, detail);
	const char *what = "the connection to the server broke";
	enum source_result result = SOURCE_FAILED;
	int meaning = -EAGAIN;

	switch (code) {
	case CURLE_COULDNT_CONNECT:
		cannot_connect(easy, code, detail, outcome);
		return;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		what = "the host name cannot be resolved";
		meaning = -EIO;
		break;
	case CURLE_OPERATION_TIMEDOUT:
		what = "the server does not answer";
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
		what = "the server's certificate is not accepted";
		meaning = -EIO;
		break;
	case CURLE_SSL_CACERT_BADFILE:
		what = "the file of CA certificates cannot be used";
		meaning = -EIO;
		break;
	case CURLE_SSL_CERTPROBLEM:
		what = "the client certificate cannot be used";
		meaning = -EIO;
		break;
	case CURLE_SSL_CONNECT_ERROR:
		what = "no TLS connection to the server comes about";
		meaning = -EIO;
		break;
	case CURLE_GOT_NOTHING:
		what = "the server closed the connection without an answer";
		break;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
		what = "the server's answer is not HTTP";
		result = SOURCE_WRONG_REPLY;
		meaning = -EIO;
		break;
	default:
		break;
	}
	outcome->result = result;
	outcome->pushback = false;
	outcome->retry_after_ms = 0;
	(void)cf_error_set(&outcome->error, meaning, "%s: %s", what, reason);
}
