/* https with certificates that are made here: one that is fine, and the three usual bad ones. */
#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <curl/curl.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "http_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char folder[64];

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void run(const char *format, ...)
{
	char command[1024] = "";
	size_t used;
	va_list args;

	used = (size_t)snprintf(command, sizeof(command), "cd '%s' && ", folder);
	va_start(args, format);
	(void)vsnprintf(command + used, sizeof(command) - used, format, args);
	va_end(args);
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

static const char *file(const char *name)
{
	static char paths[4][160];
	static unsigned int next;
	char *path = paths[next++ % 4];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

#define KEY_OPTIONS "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout"

static void make_ca(const char *name)
{
	run("openssl req -x509 %s %s.key -out %s.pem -subj '/CN=%s' -days 30 "
	    "-addext basicConstraints=critical,CA:TRUE 2> /dev/null",
	    KEY_OPTIONS, name, name, name);
}

/* An expired one needs a negative number of days with older openssl, dates with newer. */
static void make_certificate(const char *name, const char *subject_name, bool expired)
{
	char sign[512];

	run("openssl req -new %s %s.key -out %s.csr -subj '/CN=test' 2> /dev/null", KEY_OPTIONS,
	    name, name);
	run("printf 'subjectAltName=%s\\n' > %s.ext", subject_name, name);
	(void)snprintf(sign, sizeof(sign),
	               "openssl x509 -req -in %s.csr -CA ca.pem -CAkey ca.key -CAcreateserial "
	               "-out %s.pem -extfile %s.ext 2> /dev/null",
	               name, name, name);
	if (expired)
		run("%s -days -1 || %s -not_before 20200101000000Z -not_after 20200102000000Z",
		    sign, sign);
	else
		run("%s -days 30", sign);
}

static int make_certificates(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/clonefs-tls-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	make_ca("ca");
	make_ca("stranger");
	make_certificate("good", "IP:127.0.0.1", false);
	make_certificate("other", "DNS:other.example", false);
	make_certificate("old", "IP:127.0.0.1", true);
	return 0;
}

static int remove_certificates(void **state)
{
	(void)state;
	run("rm -rf '%s'", folder);
	return 0;
}

static struct server *start_tls(const char *certificate)
{
	char cert[32], key[32];
	struct server_options options;

	(void)snprintf(cert, sizeof(cert), "%s.pem", certificate);
	(void)snprintf(key, sizeof(key), "%s.key", certificate);
	options = (struct server_options){.cert = file(cert), .key = file(key)};
	return server_start(&options);
}

static void a_certificate_of_the_given_ca_is_accepted(void **state)
{
	const struct source_options options = {.cacert = file("ca.pem"), .stall_ms = PATIENT_MS};
	struct server *server = start_tls("good");
	struct source *source;
	int64_t before;

	(void)state;
	fixture_image(server, "disk", MIB);
	before = server_state(server, "connections_ever");
	source = fixture_pinned(server, "disk", &options);
	fixture_expect_range(source, 0, MIB);
	fixture_expect_range(source, 1000, 1000);
	assert_int_equal(server_state(server, "connections_ever") - before, 1);
	fixture_close(source);
	server_stop(server);
}

static void other_certificates_are_refused_with_the_reason(void **state)
{
	static const struct {
		const char *certificate, *ca, *reason;
	} cases[] = {
	        {"good", "stranger.pem", "certificate"},
	        {"good", NULL, "certificate"},
	        {"other", "ca.pem", "127.0.0.1"},
	        {"old", "ca.pem", "expired"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct source_options options = {
		        .cacert = cases[i].ca ? file(cases[i].ca) : NULL, .stall_ms = PATIENT_MS};
		struct server *server = start_tls(cases[i].certificate);
		struct source_probe probe;
		struct cf_error err = {0};
		struct source *source;
		char url[256];

		fixture_image(server, "disk", MIB);
		source = fixture_open(server_url(server, "disk", url), &options);
		assert_int_equal(source->ops->probe(source, PATIENT_MS, &probe, &err), -EIO);
		if (!strstr(err.text, "the server's certificate is not accepted: ") ||
		    !strstr(err.text, cases[i].reason))
			fail_msg("%s", err.text);
		assert_int_equal(server_count_requests(server, "disk", ""), 0);
		fixture_close(source);
		server_stop(server);
	}
}

/* A plain server with the image that @server redirects to. */
static struct server *start_led_from(struct server *server)
{
	struct server *plain = server_start(NULL);
	char url[256];

	fixture_image(server, "disk", MIB);
	fixture_image(plain, "disk", MIB);
	server_control(server,
	               "{\"faults\":[{\"fault\":\"redirect\",\"path\":\"/disk\","
	               "\"location\":\"%s\"}]}",
	               server_url(plain, "disk", url));
	return plain;
}

static void https_does_not_lead_down_to_http(void **state)
{
	const struct source_options options = {.cacert = file("ca.pem"), .stall_ms = PATIENT_MS};
	struct server *server = start_tls("good");
	struct server *plain = start_led_from(server);
	struct source_probe probe;
	struct cf_error err = {0};
	struct source *source;
	char url[256];

	(void)state;
	source = fixture_open(server_url(server, "disk", url), &options);
	assert_true(source->ops->probe(source, PATIENT_MS, &probe, &err) < 0);
	assert_non_null(strstr(err.text, "from https down to http"));
	assert_int_equal(server_count_requests(plain, "disk", ""), 0);
	fixture_close(source);
	server_stop(plain);
	server_stop(server);
}

static void it_does_when_asked_to_but_without_the_login(void **state)
{
	const struct source_options options = {
	        .cacert = file("ca.pem"), .insecure_redirect = true, .stall_ms = PATIENT_MS};
	struct server *server = start_tls("good");
	struct server *plain = start_led_from(server);
	struct source *source;
	char url[256];

	(void)state;
	(void)snprintf(url, sizeof(url), "https://user:geheim@127.0.0.1:%d/disk",
	               server_port(server));
	source = fixture_open(url, &options);
	(void)fixture_pin(source);
	fixture_expect_range(source, 1000, 1000);
	assert_int_equal(server_count_requests(server, "disk", "authorization"), 1);
	assert_int_equal(server_count_requests(plain, "disk", ""), 2);
	assert_int_equal(server_count_requests(plain, "disk", "authorization"), 0);
	fixture_close(source);
	server_stop(plain);
	server_stop(server);
}

/* Comments make it so long that nobody could overlook that it is read. */
#define BUNDLE_BYTES (4 * MIB)

/* Puts a bundle that knows our CA in the place of the system's, for this thread and those it makes
 * from now on; false: that cannot be done here. */
static bool replace_system_bundle(const char *bundle)
{
	run("{ cat ca.pem; yes '# no certificate' | head -c %d; } > bundle.pem", (int)BUNDLE_BYTES);
	return bundle && access(bundle, R_OK) == 0 && unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount(file("bundle.pem"), bundle, NULL, MS_BIND, NULL) == 0;
}

/* Of this process, by read(2). */
static uint64_t bytes_read(void)
{
	FILE *io = fopen("/proc/self/io", "r");
	unsigned long long bytes;

	assert_non_null(io);
	assert_int_equal(fscanf(io, "rchar: %llu", &bytes), 1);
	(void)fclose(io);
	return bytes;
}

static void the_systems_certificates_are_not_read_for_each_connection(void **state)
{
	const char *bundle = curl_version_info(CURLVERSION_NOW)->cainfo;
	struct server *server;
	struct source *source;
	uint64_t before;

	(void)state;
	if (!replace_system_bundle(bundle))
		skip();
	server = start_tls("good");
	fixture_image(server, "disk", MIB);
	source = fixture_pinned(server, "disk", NULL);
	before = bytes_read();
	for (unsigned int i = 0; i < 8; i++) {
		struct collector *c = collector_new(source, i * KIB, KIB);

		c->req.fresh_connection = true;
		assert_int_equal(collector_run(c), SOURCE_OK);
		collector_free(c);
	}
	assert_true(bytes_read() - before < BUNDLE_BYTES);
	assert_true(server_state(server, "connections_ever") >= 8);
	fixture_close(source);
	server_stop(server);
	(void)umount2(bundle, MNT_DETACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_certificate_of_the_given_ca_is_accepted),
	        cmocka_unit_test(other_certificates_are_refused_with_the_reason),
	        cmocka_unit_test(https_does_not_lead_down_to_http),
	        cmocka_unit_test(it_does_when_asked_to_but_without_the_login),
	        /* The last one: it moves to a mount namespace of its own. */
	        cmocka_unit_test(the_systems_certificates_are_not_read_for_each_connection),
	};

	(void)setenv("no_proxy", "*", 1);
	return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
