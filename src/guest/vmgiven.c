#include "guest/vmgiven.h"

#include "guest/vmclock.h"
#include "guest/vmconf.h"
#include "sys/fd.h"
#include "wire/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/random.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

/* Of linux/random.h since Linux 4.14. */
#ifndef RNDRESEEDCRNG
#define RNDRESEEDCRNG _IO('R', 0x07)
#endif

enum { MAGIC = 8 };
static const char magic[MAGIC] = {'i', 'g', 'l', 'o', 'o', '-', 'i', 's'};
static const char digits[] = "0123456789abcdef";

int vmgiven_make(const char *conf, struct str *to)
{
	_cleanup_close_ int fd = open(conf, O_RDONLY | O_CLOEXEC);
	uint8_t header[VMGIVEN_HEADER];
	uint8_t seed[VMGIVEN_SEED] = {0};
	int r = fd < 0 ? -errno : 0;

	if (r == 0 && getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		r = -EIO;
	if (r < 0)
		return r;
	memcpy(header, magic, MAGIC);
	str_add(to, header, sizeof(header));
	str_addf(to, "time=%" PRIu64 "\nseed=", vmclock_now());
	for (size_t i = 0; i < sizeof(seed); i++) {
		str_addc(to, digits[seed[i] >> 4]);
		str_addc(to, digits[seed[i] & 15]);
	}
	explicit_bzero(seed, sizeof(seed));
	str_addc(to, '\n');
	r = fd_read_all(fd, VMCONF_BYTES_MAX, to, NULL);
	if (r < 0)
		return r;
	frame_put32((uint8_t *)to->p + MAGIC, (uint32_t)(to->len - VMGIVEN_HEADER));
	return 0;
}

int vmgiven_length(const uint8_t header[VMGIVEN_HEADER], size_t max)
{
	uint32_t n = frame_get32(header + MAGIC);

	return memcmp(header, magic, MAGIC) != 0 || n > max || n > INT32_MAX ? -EBADMSG : (int)n;
}

/* A port whose other end is not there (yet) hangs up all the time, and so does one that has just been moved. */
static int read_whole(int port, void *to, size_t n)
{
	for (size_t have = 0; have < n;) {
		struct pollfd p = {.fd = port, .events = POLLIN};
		ssize_t k = read(port, (char *)to + have, n - have);

		if (k > 0)
			have += (size_t)k;
		else if (k < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		else if (poll(&p, 1, -1) == 1 && !(p.revents & POLLIN))
			(void)poll(NULL, 0, 1);
	}
	return 0;
}

int vmgiven_read(int port, char *text, size_t max)
{
	uint8_t header[VMGIVEN_HEADER];
	int r = read_whole(port, header, sizeof(header));
	int n = r < 0 ? r : vmgiven_length(header, max);

	if (n > 0)
		r = read_whole(port, text, (size_t)n);
	return n < 0 ? n : r < 0 ? r : n;
}

static int nibble(char c)
{
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

int vmgiven_seed(const char *hex)
{
	union {
		struct rand_pool_info info;
		uint8_t room[sizeof(struct rand_pool_info) + VMGIVEN_SEED];
	} pool = {.info = {.entropy_count = VMGIVEN_SEED * 8, .buf_size = VMGIVEN_SEED}};
	uint8_t *bytes = pool.room + offsetof(struct rand_pool_info, buf);
	_cleanup_close_ int fd = -1;
	int r = 0;

	if (strlen(hex) != (size_t)VMGIVEN_SEED * 2)
		return -EINVAL;
	for (size_t i = 0; i < VMGIVEN_SEED; i++) {
		int high = nibble(hex[2 * i]);
		int low = nibble(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, RNDADDENTROPY, &pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
		r = -errno;
	explicit_bzero(&pool, sizeof(pool));
	return r;
}
