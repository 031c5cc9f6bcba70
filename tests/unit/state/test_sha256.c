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
	        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char hex[SHA256_HEX_LENGTH + 1];

		sha256_hex(cases[i].text, strlen(cases[i].text), hex);
		assert_string_equal(hex, cases[i].hex);
	}
}

/* The padding takes another shape at 55, 56, 63 and 64 bytes. */
static void lengths_around_a_block_are_padded_right(void **context)
{
	static const struct {
		size_t length;
		const char *hex;
	} cases[] = {
	        {1, "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"},
	        {55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
	        {56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"},
	        {63, "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34"},
	        {64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
	        {65, "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0"},
	        {119, "31eba51c313a5c08226adf18d4a359cfdfd8d2e816b13f4af952f7ea6584dcfb"},
	        {120, "2f3d335432c70b580af0e8e1b3674a7c020d683aa5f73aaaedfdc55af904c21c"},
	        {128, "6836cf13bac400e9105071cd6af47084dfacad4e5e302c94bfed24e013afb73e"},
	        {200, "c2a908d98f5df987ade41b5fce213067efbcc21ef2240212a41e54b5e7c28ae5"},
	};
	char text[200];

	(void)context;
	memset(text, 'a', sizeof(text));
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char hex[SHA256_HEX_LENGTH + 1];

		sha256_hex(text, cases[i].length, hex);
		assert_string_equal(hex, cases[i].hex);
	}
}

/* Pieces that end anywhere, and zeros that are never looked at, make no difference. */
static void pieces_and_zeros_give_the_digest_of_the_whole(void **context)
{
	static unsigned char whole[1000];
	char expected[SHA256_HEX_LENGTH + 1];

	(void)context;
	for (size_t i = 0; i < 300; i++)
		whole[i] = (unsigned char)(i * 7 + 1);
	for (size_t i = 901; i < sizeof(whole); i++)
		whole[i] = (unsigned char)i;
	sha256_hex(whole, sizeof(whole), expected);
	for (size_t cut = 0; cut <= 300; cut++) {
		char hex[SHA256_HEX_LENGTH + 1];
		struct sha256 sha;

		sha256_init(&sha);
		sha256_update(&sha, whole, cut);
		sha256_update(&sha, whole + cut, 300 - cut);
		sha256_update_zeros(&sha, cut);
		sha256_update_zeros(&sha, 601 - cut);
		sha256_update(&sha, whole + 901, sizeof(whole) - 901);
		sha256_finish(&sha, hex);
		assert_string_equal(hex, expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(known_texts_have_their_known_digests),
	        cmocka_unit_test(lengths_around_a_block_are_padded_right),
	        cmocka_unit_test(pieces_and_zeros_give_the_digest_of_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
