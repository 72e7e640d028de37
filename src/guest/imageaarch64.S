/* The guest's program for aarch64 as bytes, none where the build has no compiler for it; see guest/image.h. */
	.section .rodata
	.balign 16
	.globl guest_image_aarch64
	.type guest_image_aarch64, %object
guest_image_aarch64:
#ifdef HAVE_GUEST
	.incbin "igloo-guest-aarch64"
#endif
1:
	.size guest_image_aarch64, . - guest_image_aarch64
	.balign 8
	.globl guest_image_aarch64_size
	.type guest_image_aarch64_size, %object
guest_image_aarch64_size:
#if __SIZEOF_POINTER__ == 8
	.quad 1b - guest_image_aarch64
#else
	.long 1b - guest_image_aarch64
#endif
	.size guest_image_aarch64_size, . - guest_image_aarch64_size
	.section .note.GNU-stack, "", %progbits
