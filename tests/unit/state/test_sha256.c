/* Digests from FIPS 180-4's examples and from coreutils' sha256sum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/state/sha256.h"

static void known_texts_have_their_known_digests(void **context)
{
	static const struct {
		const char *text;
		const char *hex;
	} cases[] = {
	        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char hex[SHA256_HEX_LENGTH + 1];

		assert_int_equal(sha256_hex(cases[i].text, strlen(cases[i].text), hex), 0);
		assert_string_equal(hex, cases[i].hex);
	}
}

/* head -c LENGTH /dev/zero | sha256sum */
static void zeros_need_no_buffer(void **context)
{
	static const struct {
		uint64_t length;
		const char *hex;
	} cases[] = {
	        {0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	        {65536, "de2f256064a0af797747c2b97505dc0b9f3df0de4f489eac731c23ae9ca9cc31"},
	        {200001, "814a811f175f9e7ed379ca6788bed88411a690b4187cc8bc2293ebd8f70952d4"},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char hex[SHA256_HEX_LENGTH + 1];
		struct sha256 *sha = sha256_new();

		sha256_update_zeros(sha, cases[i].length);
		assert_int_equal(sha256_finish(sha, hex), 0);
		assert_string_equal(hex, cases[i].hex);
		sha256_free(sha);
	}
}

static void pieces_and_zeros_give_the_digest_of_the_whole(void **context)
{
	static unsigned char whole[1000];
	char expected[SHA256_HEX_LENGTH + 1];
	char hex[SHA256_HEX_LENGTH + 1];
	struct sha256 *sha = sha256_new();

	(void)context;
	memset(whole, 7, 300);
	memset(whole + 900, 8, 100);
	assert_int_equal(sha256_hex(whole, sizeof(whole), expected), 0);
	sha256_update(sha, whole, 100);
	sha256_update(sha, whole + 100, 200);
	sha256_update_zeros(sha, 600);
	sha256_update(sha, whole + 900, 100);
	assert_int_equal(sha256_finish(sha, hex), 0);
	assert_string_equal(hex, expected);
	sha256_free(sha);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(known_texts_have_their_known_digests),
	        cmocka_unit_test(zeros_need_no_buffer),
	        cmocka_unit_test(pieces_and_zeros_give_the_digest_of_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
