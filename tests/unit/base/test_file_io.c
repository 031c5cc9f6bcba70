/* block_io on real files, and on a loop device where root may make one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/base/block_io.h"

#define FILE_SIZE (1024 * 1024)

/* A folder of the test's own with one file of bytes that are nowhere zero. */
struct fixture {
	char folder[64];
	char file[96];
	char other[96];
	char loop[64]; /* "" when there is none */
};

static uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)(1 + offset % 251);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	FILE *file;

	assert_non_null(f);
	(void)snprintf(f->folder, sizeof(f->folder), "/var/tmp/clonefs-file-io-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	(void)snprintf(f->file, sizeof(f->file), "%s/file", f->folder);
	(void)snprintf(f->other, sizeof(f->other), "%s/other", f->folder);
	file = fopen(f->file, "wb");
	assert_non_null(file);
	for (uint64_t i = 0; i < FILE_SIZE; i++)
		assert_true(putc(byte_at(i), file) != EOF);
	assert_int_equal(fclose(file), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	if (f->loop[0]) {
		(void)snprintf(command, sizeof(command), "losetup -d %s", f->loop);
		if (system(command) != 0)
			print_message("%s failed\n", command);
	}
	(void)unlink(f->file);
	(void)unlink(f->other);
	(void)rmdir(f->folder);
	free(f);
	return 0;
}

static struct block_io *open_file(const char *path, unsigned int flags)
{
	struct cf_error err = {0};
	struct block_io *io = NULL;

	if (block_io_open(path, flags, &io, &err) != 0)
		fail_msg("%s", err.text);
	return io;
}

static void assert_bytes(struct block_io *io, uint64_t offset, size_t length)
{
	uint8_t *buf = malloc(length);

	assert_non_null(buf);
	assert_int_equal(block_io_pread(io, buf, length, offset), 0);
	for (size_t i = 0; i < length; i++)
		if (buf[i] != byte_at(offset + i))
			fail_msg("byte %llu is %u", (unsigned long long)(offset + i), buf[i]);
	free(buf);
}

static void assert_zeros(struct block_io *io, uint64_t offset, size_t length)
{
	uint8_t *buf = malloc(length);

	assert_non_null(buf);
	assert_int_equal(block_io_pread(io, buf, length, offset), 0);
	for (size_t i = 0; i < length; i++)
		if (buf[i] != 0)
			fail_msg("byte %llu is %u", (unsigned long long)(offset + i), buf[i]);
	free(buf);
}

/* What is in the pipe now is the file's, from @offset on, and no more than @length. */
static void assert_pipe(int pipe, uint64_t offset, size_t length)
{
	uint8_t *buf = malloc(length + 1);
	size_t done = 0;
	ssize_t n;

	assert_non_null(buf);
	while (done <= length && (n = read(pipe, buf + done, length + 1 - done)) > 0)
		done += (size_t)n;
	assert_int_equal(done, length);
	for (size_t i = 0; i < length; i++)
		if (buf[i] != byte_at(offset + i))
			fail_msg("byte %llu is %u", (unsigned long long)(offset + i), buf[i]);
	free(buf);
}

/* Into a new pipe, which has room for 16 pages. */
static void assert_splices(struct block_io *io, uint64_t offset, size_t length)
{
	int pipe[2];

	assert_int_equal(pipe2(pipe, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(block_io_splice(io, pipe[1], length, offset), 0);
	assert_pipe(pipe[0], offset, length);
	(void)close(pipe[0]);
	(void)close(pipe[1]);
}

static void splicing_moves_just_what_was_asked_for(void **state)
{
	struct fixture *f = *state;
	struct block_io *io = open_file(f->file, 0);

	assert_splices(io, 4096, 65536);
	assert_splices(io, 12345, 10000);
	assert_splices(io, FILE_SIZE - 1, 1);
	block_io_close(io);
}

static void splicing_beyond_the_end_or_the_pipe_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct block_io *io = open_file(f->file, 0);
	int pipe[2];

	assert_int_equal(pipe2(pipe, O_CLOEXEC), 0);
	assert_int_equal(block_io_splice(io, pipe[1], 101, FILE_SIZE - 100), -ENODATA);
	/* It would wait for ever. */
	assert_int_equal(block_io_splice(io, pipe[1], FILE_SIZE, 0), -EAGAIN);
	(void)close(pipe[0]);
	(void)close(pipe[1]);
	block_io_close(io);
}

static void opening_tells_size_and_kind(void **state)
{
	struct fixture *f = *state;
	struct block_io *io = open_file(f->file, 0);

	assert_int_equal(io->size, FILE_SIZE);
	assert_false(io->is_device);
	assert_true(block_io_fd(io) >= 0);
	assert_true(fcntl(block_io_fd(io), F_GETFD) & FD_CLOEXEC);
	block_io_close(io);
}

static void opening_what_is_not_there_creates_nothing(void **state)
{
	struct fixture *f = *state;
	struct block_io *io = NULL;
	struct cf_error err = {0};

	assert_int_equal(block_io_open(f->other, 0, &io, &err), -ENOENT);
	assert_non_null(strstr(err.text, f->other));
	assert_null(io);
	assert_int_equal(access(f->other, F_OK), -1);
}

static void only_files_and_block_devices_are_opened(void **state)
{
	struct fixture *f = *state;
	struct block_io *io = NULL;
	struct cf_error err = {0};

	assert_int_equal(block_io_open(f->folder, BLOCK_IO_READ_ONLY, &io, &err), -EINVAL);
	assert_int_equal(block_io_open("/dev/null", 0, &io, &err), -EINVAL);
	assert_string_equal(err.text, "/dev/null is neither a regular file nor a block device");
	/* Opening a FIFO would block for ever. */
	assert_int_equal(mkfifo(f->other, 0600), 0);
	assert_int_equal(block_io_open(f->other, BLOCK_IO_READ_ONLY, &io, &err), -EINVAL);
	assert_null(io);
}

static void a_read_is_whole_or_fails(void **state)
{
	struct fixture *f = *state;
	struct block_io *io = open_file(f->file, BLOCK_IO_READ_ONLY);
	char buf[16];

	assert_bytes(io, 0, FILE_SIZE);
	assert_bytes(io, FILE_SIZE - 16, 16);
	assert_int_equal(block_io_pread(io, buf, 16, FILE_SIZE - 15), -ENODATA);
	assert_int_equal(block_io_pread(io, buf, 1, FILE_SIZE), -ENODATA);
	/* A file that somebody cut never reads as zeros. */
	assert_int_equal(truncate(f->file, 100), 0);
	assert_int_equal(block_io_pread(io, buf, 16, 90), -ENODATA);
	block_io_close(io);
}

static void read_only_refuses_writes(void **state)
{
	struct fixture *f = *state;
	struct block_io *io = open_file(f->file, BLOCK_IO_READ_ONLY);

	assert_int_equal(block_io_pwrite(io, "x", 1, 0), -EBADF);
	assert_bytes(io, 0, 16);
	block_io_close(io);
}

static void writes_of_many_pieces_arrive_in_order(void **state)
{
	enum { NR_PIECES = 300 };
	struct fixture *f = *state;
	struct block_io *io = open_file(f->file, 0);
	struct iovec iov[NR_PIECES];
	static char pieces[NR_PIECES][3];
	char buf[3 * NR_PIECES];
	size_t length = 0;

	/* Lengths 0 to 3: also empty pieces, and more pieces than one system call takes at once. */
	for (int i = 0; i < NR_PIECES; i++) {
		memset(pieces[i], 'A' + i % 26, sizeof(pieces[i]));
		iov[i] = (struct iovec){.iov_base = pieces[i], .iov_len = (size_t)i % 4};
		length += iov[i].iov_len;
	}
	assert_int_equal(block_io_pwritev(io, iov, NR_PIECES, 1000), 0);
	assert_int_equal(block_io_pread(io, buf, length, 1000), 0);
	for (size_t i = 0, at = 0; i < NR_PIECES; at += i % 4, i++)
		for (size_t j = 0; j < i % 4; j++)
			assert_int_equal(buf[at + j], 'A' + i % 26);
	assert_bytes(io, 0, 1000);
	assert_bytes(io, 1000 + length, 1000);
	assert_int_equal(block_io_sync(io), 0);
	block_io_close(io);
}

static void a_write_that_cannot_be_finished_fails(void **state)
{
	struct fixture *f = *state;
	struct block_io *io = open_file(f->file, 0);
	struct rlimit saved, limit;
	char buf[8192];
	int r;

	memset(buf, 'z', sizeof(buf));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &saved), 0);
	limit = saved;
	limit.rlim_cur = FILE_SIZE + 4096;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	/* The kernel takes a part of it; the rest does not fit. */
	r = block_io_pwrite(io, buf, sizeof(buf), FILE_SIZE - 100);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &saved), 0);
	assert_int_equal(r, -EFBIG);
	block_io_close(io);
}

static void an_exclusive_open_keeps_others_out_until_it_is_closed(void **state)
{
	struct fixture *f = *state;
	struct block_io *io = open_file(f->file, BLOCK_IO_EXCLUSIVE);
	struct block_io *second = NULL;
	struct cf_error err = {0};

	assert_int_equal(block_io_open(f->file, BLOCK_IO_EXCLUSIVE, &second, &err), -EBUSY);
	assert_non_null(strstr(err.text, "in use"));
	assert_null(second);
	assert_int_equal(
	        block_io_open(f->file, BLOCK_IO_EXCLUSIVE | BLOCK_IO_READ_ONLY, &second, &err),
	        -EBUSY);
	/* Who does not ask for it is not kept out. */
	second = open_file(f->file, BLOCK_IO_READ_ONLY);
	block_io_close(second);
	block_io_close(io);
	io = open_file(f->file, BLOCK_IO_EXCLUSIVE);
	block_io_close(io);
}

static void punched_ranges_read_as_zeros_and_give_space_back(void **state)
{
	struct fixture *f = *state;
	struct block_io *io = open_file(f->file, 0);
	struct stat before, after;
	int r;

	assert_int_equal(block_io_sync(io), 0);
	assert_int_equal(stat(f->file, &before), 0);
	r = block_io_punch(io, 65536, 131072);
	if (r == -EOPNOTSUPP)
		skip();
	assert_int_equal(r, 0);
	assert_int_equal(block_io_sync(io), 0);
	assert_int_equal(stat(f->file, &after), 0);
	assert_true(after.st_blocks < before.st_blocks);
	assert_int_equal(after.st_size, FILE_SIZE);
	assert_bytes(io, 0, 65536);
	assert_zeros(io, 65536, 131072);
	assert_bytes(io, 65536 + 131072, 4096);
	/* Edges that are no whole blocks are zeroed too. */
	assert_int_equal(block_io_punch(io, 10, 5000), 0);
	assert_bytes(io, 0, 10);
	assert_zeros(io, 10, 5000);
	assert_bytes(io, 5010, 100);
	block_io_close(io);
}

static void zeroed_ranges_read_as_zeros(void **state)
{
	struct fixture *f = *state;
	struct block_io *io = open_file(f->file, 0);
	int r = block_io_zero(io, 4000, 70000);

	if (r == -EOPNOTSUPP)
		skip();
	assert_int_equal(r, 0);
	assert_bytes(io, 0, 4000);
	assert_zeros(io, 4000, 70000);
	assert_bytes(io, 74000, 4096);
	block_io_close(io);
}

static void allocating_keeps_size_and_contents(void **state)
{
	struct fixture *f = *state;
	struct block_io *io;
	struct stat st;
	int r;

	assert_int_equal(truncate(f->file, 100), 0);
	io = open_file(f->file, 0);
	r = block_io_allocate(io, 0, 262144);
	if (r == -EOPNOTSUPP)
		skip();
	assert_int_equal(r, 0);
	assert_int_equal(stat(f->file, &st), 0);
	assert_int_equal(st.st_size, 100);
	assert_true(st.st_blocks * 512 >= 262144);
	assert_bytes(io, 0, 100);
	block_io_close(io);
}

/* Of a new file in @folder. */
static bool holes_are_dear(const char *folder)
{
	char path[512];
	struct block_io *io;
	bool dear;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/clonefs-holes-XXXXXX", folder);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	(void)close(fd);
	io = open_file(path, 0);
	dear = io->holes_are_dear;
	block_io_close(io);
	assert_int_equal(unlink(path), 0);
	return dear;
}

static void holes_are_dear_on_ext4_only(void **state)
{
	struct fixture *f = *state;
	struct statfs fs;

	assert_int_equal(statfs(f->folder, &fs), 0);
	assert_int_equal(holes_are_dear(f->folder), fs.f_type == EXT4_SUPER_MAGIC);
	if (statfs("/dev/shm", &fs) == 0 && fs.f_type == TMPFS_MAGIC)
		assert_false(holes_are_dear("/dev/shm"));
}

static void data_and_holes_are_found(void **state)
{
	struct fixture *f = *state;
	struct block_io *io = open_file(f->file, 0);
	uint64_t offset = 77;

	if (block_io_punch(io, 0, 65536) == -EOPNOTSUPP)
		skip();
	assert_int_equal(block_io_seek(io, 0, SEEK_HOLE, &offset), 0);
	assert_int_equal(offset, 0);
	assert_int_equal(block_io_seek(io, 0, SEEK_DATA, &offset), 0);
	assert_int_equal(offset, 65536);
	assert_int_equal(block_io_seek(io, 70000, SEEK_DATA, &offset), 0);
	assert_int_equal(offset, 70000);
	assert_int_equal(block_io_seek(io, 70000, SEEK_HOLE, &offset), 0);
	assert_int_equal(offset, FILE_SIZE);
	assert_int_equal(block_io_punch(io, 65536, FILE_SIZE - 65536), 0);
	offset = 77;
	assert_int_equal(block_io_seek(io, 0, SEEK_DATA, &offset), -ENXIO);
	assert_int_equal(offset, 77);
	block_io_close(io);
}

/* Attaches the fixture's file; false where that is not possible. */
static bool attach_loop(struct fixture *f)
{
	char command[192];
	FILE *out;
	bool attached;

	if (geteuid() != 0)
		return false;
	(void)snprintf(command, sizeof(command), "losetup -f --show %s 2>/dev/null", f->file);
	out = popen(command, "r");
	assert_non_null(out);
	attached = fgets(f->loop, sizeof(f->loop), out) != NULL;
	if (pclose(out) != 0 || !attached) {
		f->loop[0] = '\0';
		return false;
	}
	f->loop[strcspn(f->loop, "\n")] = '\0';
	return true;
}

static void a_block_device_is_read_written_and_never_extended(void **state)
{
	struct fixture *f = *state;
	struct block_io *io;
	uint64_t offset = 77;
	char buf[600];

	if (!attach_loop(f))
		skip();
	io = open_file(f->loop, BLOCK_IO_EXCLUSIVE);
	assert_true(io->is_device);
	assert_false(io->holes_are_dear);
	assert_int_equal(io->size, FILE_SIZE);
	assert_bytes(io, 0, FILE_SIZE);
	assert_splices(io, 12288, 20000);
	memset(buf, 'q', sizeof(buf));
	assert_int_equal(block_io_pwrite(io, buf, sizeof(buf), 1000), 0);
	assert_int_equal(block_io_sync(io), 0);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(block_io_pread(io, buf, sizeof(buf), 1000), 0);
	for (size_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 'q');
	assert_int_equal(block_io_pwrite(io, buf, sizeof(buf), FILE_SIZE - 100), -ENOSPC);
	assert_int_equal(block_io_pread(io, buf, sizeof(buf), FILE_SIZE - 100), -ENODATA);
	assert_int_equal(block_io_allocate(io, 0, 4096), 0);
	assert_int_equal(block_io_share(io, block_io_fd(io), 0, 4096), -EOPNOTSUPP);
	assert_int_equal(block_io_seek(io, 0, SEEK_DATA, &offset), -EOPNOTSUPP);
	block_io_close(io);
}

static void a_block_device_punches_whole_sectors(void **state)
{
	struct fixture *f = *state;
	struct block_io *io;
	int r;

	if (!attach_loop(f))
		skip();
	io = open_file(f->loop, 0);
	r = block_io_punch(io, 65536, 65536);
	assert_true(r == 0 || r == -EOPNOTSUPP);
	if (r == 0)
		assert_zeros(io, 65536, 65536);
	assert_bytes(io, 0, 65536);
	assert_bytes(io, 131072, 65536);
	/* Not whole sectors: the caller writes zeros instead. */
	assert_int_equal(block_io_punch(io, 10, 100), -EOPNOTSUPP);
	assert_bytes(io, 0, 4096);
	block_io_close(io);
}

static void a_block_device_is_exclusive_too(void **state)
{
	struct fixture *f = *state;
	struct block_io *io, *second = NULL;
	struct cf_error err = {0};

	if (!attach_loop(f))
		skip();
	io = open_file(f->loop, BLOCK_IO_EXCLUSIVE);
	assert_int_equal(block_io_open(f->loop, BLOCK_IO_EXCLUSIVE, &second, &err), -EBUSY);
	assert_non_null(strstr(err.text, "in use"));
	block_io_close(io);
	io = open_file(f->loop, BLOCK_IO_EXCLUSIVE);
	block_io_close(io);
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        FILE_TEST(opening_tells_size_and_kind),
	        FILE_TEST(opening_what_is_not_there_creates_nothing),
	        FILE_TEST(only_files_and_block_devices_are_opened),
	        FILE_TEST(a_read_is_whole_or_fails),
	        FILE_TEST(splicing_moves_just_what_was_asked_for),
	        FILE_TEST(splicing_beyond_the_end_or_the_pipe_is_an_error),
	        FILE_TEST(read_only_refuses_writes),
	        FILE_TEST(writes_of_many_pieces_arrive_in_order),
	        FILE_TEST(a_write_that_cannot_be_finished_fails),
	        FILE_TEST(an_exclusive_open_keeps_others_out_until_it_is_closed),
	        FILE_TEST(punched_ranges_read_as_zeros_and_give_space_back),
	        FILE_TEST(zeroed_ranges_read_as_zeros),
	        FILE_TEST(allocating_keeps_size_and_contents),
	        FILE_TEST(holes_are_dear_on_ext4_only),
	        FILE_TEST(data_and_holes_are_found),
	        FILE_TEST(a_block_device_is_read_written_and_never_extended),
	        FILE_TEST(a_block_device_punches_whole_sectors),
	        FILE_TEST(a_block_device_is_exclusive_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
