/* The guest's program as bytes; see guest/image.h. It is found by -I. */
	.section .rodata
	.balign 16
	.globl guest_image
	.type guest_image, %object
guest_image:
	.incbin "igloo-guest"
1:
	.size guest_image, . - guest_image
	.balign 8
	.globl guest_image_size
	.type guest_image_size, %object
guest_image_size:
#if __SIZEOF_POINTER__ == 8
	.quad 1b - guest_image
#else
	.long 1b - guest_image
#endif
	.size guest_image_size, . - guest_image_size
	.section .note.GNU-stack, "", %progbits
