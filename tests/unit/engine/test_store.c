#include "engine_fixture.h"

#include "core/engine/store.h"
#include "gate_io.h"

struct shape {
	const char *name;
	bool no_punch, no_zero, no_discard;
	uint64_t written; /* bytes that punching 100000 bytes and zeroing 200000 has to write */
};

static void zeros_get_down_one_way_or_another(void **state)
{
	static const struct shape shapes[] = {
	        {"all", false, false, false, 0},
	        {"no punch", true, false, false, 0},
	        {"no zero", false, true, false, 200000},
	        {"neither", true, true, false, 300000},
	        {"no discard wanted", false, false, true, 0},
	        {"no discard wanted, no zero", false, true, true, 300000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct block_io *inner = memory_io_new(MIB, NULL);
		unsigned char *zeros = filled(300000, 0);
		struct gate_io gate;
		struct store store;

		print_message("%s\n", shapes[i].name);
		memset(memory_io_data(inner), GARBAGE, MIB);
		gate_io_init(&gate, inner);
		gate.no_punch = shapes[i].no_punch;
		gate.no_zero = shapes[i].no_zero;
		store_init(&store, &gate.io, shapes[i].no_discard);
		assert_int_equal(store_punch(&store, 1000, 100000), 0);
		assert_int_equal(store_zero(&store, 101000, 200000), 0);
		assert_memory_equal(memory_io_data(inner) + 1000, zeros, 300000);
		assert_int_equal(memory_io_data(inner)[999], GARBAGE);
		assert_int_equal(memory_io_data(inner)[301000], GARBAGE);
		assert_int_equal(gate_io_bytes_written(&gate), shapes[i].written);
		gate_io_fini(&gate);
		block_io_close(inner);
		free(zeros);
	}
}

static void errors_of_punching_are_not_taken_for_cannot(void **state)
{
	struct block_io *io = memory_io_new(MIB, NULL);
	struct store store;

	(void)state;
	store_init(&store, io, false);
	memory_io_fail(io, MEMORY_IO_PUNCH, 1, -EIO, false);
	assert_int_equal(store_punch(&store, 0, 65536), -EIO);
	assert_int_equal(store_punch(&store, 0, 65536), 0);
	block_io_close(io);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(zeros_get_down_one_way_or_another),
	        cmocka_unit_test(errors_of_punching_are_not_taken_for_cannot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
