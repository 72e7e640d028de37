/* Nix's base 32: the alphabet without e, o, t, u; least significant bits last. Source: the Nix
 * manual, "Nix32 Encoding" (NixOS/nix, doc/manual/source/protocols/nix32.md). */
#ifndef IGLOO_NIX_BASE32_H
#define IGLOO_NIX_BASE32_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Digits for n bytes. */
#define BASE32_DIGITS(n) (((n)*8 + 4) / 5)

/* n bytes as BASE32_DIGITS(n) digits and a NUL. */
void base32_encode(const uint8_t *bytes, size_t n, char *ret);
/* Exactly n bytes from exactly BASE32_DIGITS(n) digits; false for anything else (spare bits set too). */
bool base32_decode(const char *digits, uint8_t *ret, size_t n);
/* True for a digit of the alphabet. */
bool base32_is_digit(char c);

#endif
