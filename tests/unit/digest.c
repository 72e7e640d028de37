#include "test.h"

#include "fmt/digest.h"
#include "nix/base32.h"

static const char hello_hex[] = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

TEST(sha256)
{
	_cleanup_digest_ struct digest *d = NULL;
	uint8_t sum[DIGEST_SHA256_BYTES];
	char hex[DIGEST_SHA256_HEX + 1];

	/* FIPS 180-2, B.1, and the empty text. */
	CHECK(digest_sha256("abc", 3, sum, NULL) == 0);
	digest_hex(sum, sizeof(sum), hex);
	CHECK_STR(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	CHECK(digest_sha256(NULL, 0, sum, NULL) == 0);
	digest_hex(sum, sizeof(sum), hex);
	CHECK_STR(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

	CHECK(digest_open(&d, NULL) == 0);
	for (int round = 0; round < 2; round++) {
		digest_add(d, "hel", 3);
		digest_add(d, "", 0);
		digest_add(d, "lo\n", 3);
		CHECK(digest_finish(d, sum, NULL) == 0);
		digest_hex(sum, sizeof(sum), hex);
		CHECK_STR(hex, hello_hex);
	}
}

TEST(hex)
{
	uint8_t b[3];
	char hex[7];

	CHECK(digest_from_hex("00ff7a", b, 3));
	CHECK(b[0] == 0 && b[1] == 0xff && b[2] == 0x7a);
	digest_hex(b, 3, hex);
	CHECK_STR(hex, "00ff7a");
	CHECK(!digest_from_hex("00ff7", b, 3));
	CHECK(!digest_from_hex("00ff7a0", b, 3));
	CHECK(!digest_from_hex("00FF7A", b, 3));
	CHECK(!digest_from_hex("00ff7g", b, 3));
}

TEST(sri)
{
	uint8_t b[DIGEST_BYTES_MAX];
	enum digest_algo algo;
	char hex[2 * DIGEST_BYTES_MAX + 1];

	CHECK(digest_from_sri("sha256-WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM=", &algo, b));
	CHECK(algo == DIGEST_SHA256);
	digest_hex(b, 32, hex);
	CHECK_STR(hex, hello_hex);
	CHECK(digest_from_sri("sha1-9XLTlvrpIGYocU+yzgD3LpTyJY8=", &algo, b));
	CHECK(algo == DIGEST_SHA1);
	digest_hex(b, 20, hex);
	CHECK_STR(hex, "f572d396fae9206628714fb2ce00f72e94f2258f");
	/* cut, not padded, spare bits, a blank, other alphabet, unknown, two */
	CHECK(!digest_from_sri("sha256-WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vg==", &algo, b));
	CHECK(!digest_from_sri("sha256-WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM", &algo, b));
	CHECK(!digest_from_sri("sha256-WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgN=", &algo, b));
	CHECK(!digest_from_sri(" sha256-WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM=", &algo, b));
	CHECK(!digest_from_sri("sha256-WJG1tSLV3whtD_CxEPvZ0hu0_HFjrzTQgoai6Eb2vgM=", &algo, b));
	CHECK(!digest_from_sri("sha384-WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM=", &algo, b));
	CHECK(!digest_from_sri("sha256:5891b5", &algo, b));
	CHECK(!digest_from_sri("", &algo, b));
}

TEST(base32)
{
	uint8_t b[32];
	char text[BASE32_DIGITS(32) + 1];

	/* nix-hash --type sha256 --base32 of "hello\n" */
	CHECK(digest_from_hex(hello_hex, b, 32));
	base32_encode(b, 32, text);
	CHECK_STR(text, "00xyyr3fi8l6hb839bv3f7yb86yjv7xi1cgh1xnhipym4asvb4aq");
	memset(b, 0, sizeof(b));
	CHECK(base32_decode(text, b, 32));
	base32_encode(b, 32, text);
	CHECK_STR(text, "00xyyr3fi8l6hb839bv3f7yb86yjv7xi1cgh1xnhipym4asvb4aq");
	text[0] = '2'; /* 52 digits have four bits to spare, which are 0 */
	CHECK(!base32_decode(text, b, 32));
	text[0] = 'e';
	CHECK(!base32_decode(text, b, 32));
	CHECK(!base32_decode("0", b, 32));
	CHECK(BASE32_DIGITS(20) == 32);
}

TEST_MAIN()
