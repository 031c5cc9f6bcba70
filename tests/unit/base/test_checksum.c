#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/base/checksum.h"

static void known_values(void **state)
{
	static const uint8_t zeros[4092];
	static uint32_t (*const updates[])(uint32_t, const void *,
	                                   size_t) = {crc32c_update, crc32c_update_portable};

	(void)state;
	for (size_t i = 0; i < sizeof(updates) / sizeof(updates[0]); i++) {
		assert_int_equal(updates[i](0xFFFFFFFF, "123456789", 9), 0x1CF96D7C);
		assert_int_equal(updates[i](0xFFFFFFFF, zeros, sizeof(zeros)), 0x58CDA791);
	}
}

static void pieces_equal_the_whole(void **state)
{
	uint8_t data[100];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 37);
	for (size_t cut = 0; cut <= sizeof(data); cut++)
		assert_int_equal(
		        crc32c_update(crc32c_update(7, data, cut), data + cut, sizeof(data) - cut),
		        crc32c_update_portable(7, data, sizeof(data)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(known_values),
	        cmocka_unit_test(pieces_equal_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
